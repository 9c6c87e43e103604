"""Joint paths: several networks move along their integration paths together, where their pool is no mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.integration_path import IntegrationPaths, PathPoints


class JointPaths:
    """Integration paths of some stays in the inputs of all networks of a model.

    Each point has one position on the paths of all networks. The explained number there is that of the model, such as
    the log-odds of a mean risk, and so is the completeness gap.

    Parameters
    ----------
    paths : sequence of IntegrationPaths
        One for each network.
    stays : Sequences
        The stays, with the coded events that any of the networks knows.

    Attributes
    ----------
    stays : Sequences
        The stays.
    n_steps : ndarray of int, shape (stay,)
        Number of rows of each stay, in all networks together.
    """

    def __init__(self, paths: Sequence[IntegrationPaths], stays: Sequences) -> None:
        self.paths, self.stays, self.member = paths, stays, paths[0].member
        self.ranks = [np.argsort(path.order) for path in paths]
        self.n_steps = np.sum([path.n_steps[rank] for path, rank in zip(paths, self.ranks, strict=True)], axis=0)
        self.origins = [origins(path, stays) for path in paths]

    def at(self, stay: np.ndarray, position: np.ndarray) -> PathPoints:
        """Compute values and gradients at points on the paths.

        Parameters
        ----------
        stay : ndarray of int, shape (point,)
            Which path.
        position : ndarray, shape (point,)
            From 0, the reference, to 1, the stay.

        Returns
        -------
        PathPoints
        """
        passes = [path.forward(rank[stay], position) for path, rank in zip(self.paths, self.ranks, strict=True)]
        terms = [
            path.member.terms(forward.logits, forward.copies.batch.point_hours)[
                torch.from_numpy(np.argsort(forward.order))
            ]
            for path, forward in zip(self.paths, passes, strict=True)
        ]
        number = self.member.target.combine(torch.stack(terms))
        leaves = [leaf for forward in passes for leaf in forward.leaves.values()]
        gradients = iter(torch.autograd.grad(number.sum(), leaves, allow_unused=True))
        value = number.detach().numpy()
        points = [
            path.points(forward, [next(gradients) for _ in forward.leaves], value[forward.order])
            for path, forward in zip(self.paths, passes, strict=True)
        ]
        measurement, coded = (
            np.concatenate([own[getattr(point, name)] for point, own in zip(points, maps, strict=True)])
            for name, maps in zip(("measurement", "coded_event"), zip(*self.origins, strict=True), strict=True)
        )
        return PathPoints(
            value=value,
            gradient=np.sum([point.gradient for point in points], axis=0),
            parts=np.concatenate([point.parts for point in points], axis=1),
            measurement=measurement,
            measurement_point=np.concatenate([point.measurement_point for point in points]),
            static=np.sum([point.static for point in points], axis=0),
            coded=np.concatenate([point.coded for point in points]),
            coded_event=coded,
            coded_point=np.concatenate([point.coded_point for point in points]),
        )


def origins(paths: IntegrationPaths, stays: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Give where the measurements and coded events of sorted stays, as one network knows them, come from.

    Parameters
    ----------
    paths : IntegrationPaths
        Of the stays.
    stays : Sequences
        The stays in their own order, with all coded events.

    Returns
    -------
    measurement, coded_event : ndarray of int
        Positions among those of `stays`.
    """
    known = np.flatnonzero(paths.member.knows_event(stays))
    return concat_ranges(stays.starts, paths.order)[0], known[concat_ranges(paths.unsorted.code_starts, paths.order)[0]]
