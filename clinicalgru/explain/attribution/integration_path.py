"""Integration paths from a stay with nothing measured to the stay itself, in the inputs of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.batch_copies import BatchCopies, copy_stays
from clinicalgru.explain.attribution.reference import path_ends
from clinicalgru.explain.targets import MemberNetwork
from clinicalgru.model.features.clinical_indices import SUMMARIES, index_parts
from clinicalgru.model.features.rolling import ROLLING, rolling_shares
from clinicalgru.model.features.summaries import shares
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs

VALUE, MEASURED, TIMING = range(3)
CODE_NEW = "code_is_new"  # weight of each coded event in the bag of codes of the whole stay
STEP_CODES = "encoder.steps.codes"  # module that sums the embedded codes of a time step
SUMMARY_OWNER_SHARE = 0.2  # fraction of a summary's attribution that goes to the measurements that determine it


@dataclass(frozen=True, eq=False)
class PathPoints:
    """Values and gradients at points on the paths.

    Attributes
    ----------
    value : ndarray, shape (point,)
        The explained number.
    gradient : ndarray, shape (point,)
        Its derivative along the path.
    parts : ndarray, shape (3, entry)
        Share of each measurement at each point in that derivative: by value, by being measured, by timing.
    measurement, measurement_point : ndarray of int, shape (entry,)
        Which measurement of the stays, and which point, an entry belongs to.
    static : ndarray, shape (point, static covariate)
        Share of each static covariate.
    coded : ndarray, shape (coded entry,)
        Share of each coded event at each point.
    coded_event, coded_point : ndarray of int, shape (coded entry,)
        Which coded event of the stays, and which point.
    """

    value: np.ndarray
    gradient: np.ndarray
    parts: np.ndarray
    measurement: np.ndarray
    measurement_point: np.ndarray
    static: np.ndarray
    coded: np.ndarray
    coded_event: np.ndarray
    coded_point: np.ndarray


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """Outputs of a network at points on the paths, sorted by their stay.

    Attributes
    ----------
    logits : Tensor, shape (head, point, output)
        Output of the network.
    leaves : dict of str to Tensor
        Inputs that are interpolated.
    copies : BatchCopies
        The copies of the stays.
    stay : ndarray of int, shape (point,)
        The path of each point.
    order : ndarray of int, shape (point,)
        Positions of the points as they were requested.
    """

    logits: Tensor
    leaves: dict[str, Tensor]
    copies: BatchCopies
    stay: np.ndarray
    order: np.ndarray


class IntegrationPaths:
    """Integration paths of some stays, as one network sees them.

    Parameters
    ----------
    member : MemberNetwork
        The network and its target.
    stays : Sequences
        With the coded events that the network knows.
    batch : Batch, optional
        The batch of a single stay, if it was made already.

    Attributes
    ----------
    order : ndarray of int, shape (stay,)
        Positions of the stays; here they are sorted by their number of steps, longest first.
    unsorted, stays : Sequences
        The stays as they were given, and in this order.
    n_steps : ndarray of int, shape (stay,)
        Number of rows of each stay.
    end_logits : Tensor of shape (head, 1, output) or None
        Logits of a single stay at its end, once they were computed.

    Notes
    -----
    A path is straight in normal scores, masks, gaps, static covariates and embedded summaries. Straight lines in the
    raw summaries would bend at the training quantiles and need ten times as many points for the same tolerance.
    """

    def __init__(self, member: MemberNetwork, stays: Sequences, *, batch: Batch | None = None) -> None:
        self.member, self.network = member, member.network
        self.order = self.network.make_batch(stays).order if len(stays) > 1 else np.zeros(1, dtype=np.int64)
        self.unsorted, self.stays = stays, stays[self.order] if len(stays) > 1 else stays
        self.batch = self.network.make_batch(self.stays) if batch is None else batch
        self.n_steps = np.bincount(self.batch.stay.numpy(), minlength=len(stays))
        with torch.no_grad():
            self.ends = path_ends(self.network, self.batch)
        self.summary_shares = _summary_shares(self.stays)
        self.rolling_shares = torch.from_numpy(rolling_shares(self.stays, self.network.spec.rolling_hours))
        names = [variable.name for variable in stays.variables]
        self.index_parts = torch.from_numpy(index_parts(names, self.network.spec.clinical_indices))
        self.end_logits: Tensor | None = None

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
        forward = self.forward(stay, position)
        number = self.member.numbers(forward.logits, forward.copies.batch.point_hours)
        found = torch.autograd.grad(number.sum(), list(forward.leaves.values()), allow_unused=True)
        return self.points(forward, found, number.detach().numpy())

    def forward(self, stay: np.ndarray, position: np.ndarray) -> ForwardPass:
        """Compute the outputs of the network at points on the paths.

        Parameters
        ----------
        stay, position
            As of `at`.

        Returns
        -------
        ForwardPass
        """
        order = np.argsort(stay, kind="stable")
        copies = copy_stays(self.stays, self.batch, stay[order])
        inputs, overrides = self._inputs_at(copies, stay[order], position[order])
        leaves = {field.name: getattr(inputs, field.name).requires_grad_() for field in fields(Inputs)}
        leaves |= {name: tensor.requires_grad_() for name, tensor in overrides.items()}
        batch = replace(copies.batch, code_is_new=overrides.pop(CODE_NEW))
        with _override_outputs(self.network, overrides):
            logits = self.network.logits(inputs, batch)[0]
        at_end = position[order] == 1
        if len(self.stays) == 1 and at_end.any():
            self.end_logits = logits.detach()[:, torch.from_numpy(at_end)]
        return ForwardPass(logits, leaves, copies, stay[order], order)

    def points(self, forward: ForwardPass, gradients: Sequence[Tensor | None], value: np.ndarray) -> PathPoints:
        """Redistribute gradients of the explained number to the measurements.

        Parameters
        ----------
        forward : ForwardPass
            From `forward`.
        gradients : sequence of Tensor or None
            Gradient of the sum of the numbers in each leaf.
        value : ndarray, shape (point,)
            The numbers, in the order of the forward pass.

        Returns
        -------
        PathPoints
            In the order in which the points were requested.
        """
        by_leaf = {
            name: torch.zeros_like(leaf) if gradient is None else gradient
            for (name, leaf), gradient in zip(forward.leaves.items(), gradients, strict=True)
        }
        return _unsort(self._attribute(by_leaf, forward.copies, forward.stay), value, forward.order)

    def _entries(self, copies: BatchCopies, stay: np.ndarray) -> dict[str, tuple[Tensor, Tensor]]:
        """For each input of the copies: the entry of the stays that each entry repeats, and its point."""
        row, by_stay = (copies.row, copies.batch.stay), (torch.from_numpy(stay), torch.arange(len(stay)))
        by_row = {"score": (copies.measurement, copies.measurement_copy), "mask": row, "delta_hours": row}
        return by_row | dict.fromkeys(("summaries", "summary_mask", "static"), by_stay)

    def _inputs_at(
        self, copies: BatchCopies, stay: np.ndarray, position: np.ndarray
    ) -> tuple[Inputs, dict[str, Tensor]]:
        """Inputs at these points, and the module outputs that are interpolated too: embedded summaries and codes."""
        fraction, inputs = torch.from_numpy(position).float(), {}
        for name, (entry, point) in self._entries(copies, stay).items():
            reference, full = getattr(self.ends.reference, name)[entry], getattr(self.ends.full, name)[entry]
            inputs[name] = torch.lerp(reference, full, fraction[point].reshape(-1, *[1] * (reference.ndim - 1)))
        unknown, _, known = self.ends.embedded[:, torch.from_numpy(stay)]
        new = copies.batch.code_is_new * fraction[copies.coded_copy]
        overrides = {"embedding": torch.lerp(unknown, known, fraction[:, None]), CODE_NEW: new}
        bag = self.network.encoder.steps.codes
        if bag is not None:
            overrides[STEP_CODES] = (
                bag(copies.batch.to(bag.table.device)).detach().cpu() * fraction[copies.batch.stay, None]
            )
        return Inputs(**inputs), overrides

    def _attribute(self, gradients: dict[str, Tensor], copies: BatchCopies, stay: np.ndarray) -> PathPoints:
        """Gradients times the length of the path in each input, redistributed to the measurements."""
        ends, entries = self.ends, self._entries(copies, stay)
        changes = {
            name: gradients[name] * (getattr(ends.full, name) - getattr(ends.reference, name))[entry]
            for name, (entry, _) in entries.items()
        }
        parts = _sequence_parts(changes, copies.batch)
        levels = ends.embedded[:, torch.from_numpy(stay)]
        embedded = (levels.diff(dim=0) * gradients["embedding"]).unflatten(2, (ends.full.summary_mask.shape[1], -1))
        known = ends.full.summary_mask[torch.from_numpy(stay)]
        n_plain = known.shape[1] - self.network.spec.rolling_features
        plain, rolling = embedded.sum(dim=3).double().tensor_split([n_plain], dim=2)
        summaries = _split_indices(plain, known[:, :n_plain], self.index_parts)
        origin = copies.measurement, copies.measurement_copy
        for part, share in chain(self._summary_parts(summaries, *origin), self._rolling_parts(rolling, *origin)):
            parts[part] += share
        static = _static_parts(changes["static"], self.network.spec.static_variables)
        coded = self._coded_parts(gradients, copies, parts)
        gradient = parts.new_zeros(len(stay)).index_add(0, copies.measurement_copy, parts.sum(dim=0))
        gradient = (gradient + static.sum(dim=1)).index_add(0, copies.coded_copy, coded)
        entry = (parts, copies.measurement, copies.measurement_copy, static, coded, copies.coded, copies.coded_copy)
        return PathPoints(np.empty(0), gradient.numpy(), *(tensor.numpy() for tensor in entry))

    def _coded_parts(self, gradients: dict[str, Tensor], copies: BatchCopies, parts: Tensor) -> Tensor:
        """Share of each coded event: in its time step, and in the bag of codes of the whole stay."""
        bag = self.network.encoder.steps.codes
        if bag is None:
            return parts.new_zeros(0)
        embedded = bag.table.detach().cpu()[copies.batch.code]
        coded = (gradients[STEP_CODES][copies.batch.code_row] * embedded).double().sum(dim=1)
        return coded + gradients[CODE_NEW].double() * copies.batch.code_is_new

    def _summary_parts(self, changes: Tensor, measurement: Tensor, point: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Shares of the measurements in changes (2, point, summary): by being known, and by value."""
        shape = len(changes[0]), len(self.stays.variables), len(SUMMARIES)
        variable = self.batch.variable[measurement]
        known, value = (change.reshape(shape)[point, variable] for change in changes)
        weights = torch.from_numpy(np.stack([weight for weight, _ in self.summary_shares], axis=1))[measurement]
        equal = weights[:, SUMMARIES.index("count")]  # all measurements of a cell make its summaries known alike
        yield MEASURED, equal * known.sum(dim=1)
        for number, (_, part) in enumerate(self.summary_shares):
            yield part, weights[:, number] * value[:, number]

    def _rolling_parts(self, changes: Tensor, measurement: Tensor, point: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Shares of the measurements in changes (2, point, rolling statistic): all of a window have the same."""
        windows = self.rolling_shares.shape[1]
        shape = len(changes[0]), len(self.stays.variables), windows, len(ROLLING)
        variable, weights = self.batch.variable[measurement], self.rolling_shares[measurement]
        known, value = (change.reshape(shape)[point, variable] for change in changes)
        count = ROLLING.index("count")
        yield MEASURED, (weights * (known.sum(dim=2) + value[..., count])).sum(dim=1)
        yield VALUE, (weights * (value.sum(dim=2) - value[..., count])).sum(dim=1)


@contextmanager
def _override_outputs(network: ClinicalGRU, outputs: dict[str, Tensor]) -> Iterator[None]:
    """Replace the outputs of modules of a network within the context."""
    overridden = [vars(network.get_submodule(name)) for name in outputs]
    for module, output in zip(overridden, outputs.values(), strict=True):
        module["forward"] = partial(_constant, output.to(network.device))  # instead of the method: it is not computed
    try:
        yield
    finally:
        for module in overridden:
            module.pop("forward", None)


def _constant(output: Tensor, *_: object) -> Tensor:
    return output


def _summary_shares(stays: Sequences) -> list[tuple[np.ndarray, int]]:
    """Share of each measurement in each summary of its cell, and the part (value, measured, timing) it counts to.

    Removing the minimum changes the summary only to the second lowest value, so credit is shared: a fraction goes to
    the measurements that determine the summary, the rest to all of its cell. Fall of the log-odds by deletion on
    PhysioNet 2012 set b, by that fraction: 1.22 (all of it), 1.36 (0.5), 1.44 (0.2), 1.40 (0).
    """
    owned = shares(stays)
    equal = owned[SUMMARIES.index("count")][0]
    return [(SUMMARY_OWNER_SHARE * weight + (1 - SUMMARY_OWNER_SHARE) * equal, part) for weight, part in owned]


def _split_indices(changes: Tensor, known: Tensor, parts: Tensor) -> Tensor:
    """Redistribute what each clinical index changed in equal parts to the known summaries it is computed from.

    changes (2, point, summary + index); known (point, summary + index); parts (index, part) summaries, -1 = none.
    Gives (2, point, summary).
    """
    own, of_indices = changes.split([changes.shape[2] - len(parts), len(parts)], dim=2)
    present = known[:, parts.clamp_min(0)] * (parts >= 0)
    share = present / present.sum(dim=2, keepdim=True).clamp_min(1)
    return own.index_add(2, parts.clamp_min(0).flatten(), (of_indices[..., None] * share).flatten(2))


def _sequence_parts(changes: dict[str, Tensor], copies: Batch) -> Tensor:
    """(3, measurement) of scores, masks and gaps, given to the measurement that a carried value or gap comes from."""
    count = len(copies.value)
    parts = torch.zeros(3, count + 1, dtype=torch.float64)  # the last: cells of variables never measured
    parts[VALUE, :count] += changes["score"]
    parts[MEASURED].index_add_(0, copies.locf_index.flatten(), changes["mask"].double().flatten())
    sizes = torch.tensor([0, *copies.sizes[:-1]])
    before = copies.locf_index[(torch.arange(len(copies.hours)) - sizes[copies.step]).clamp_min(0)]
    before = torch.where(copies.step[:, None] > 0, before, count)  # the measurement that each gap counts from
    parts[TIMING].index_add_(0, before.flatten(), changes["delta_hours"].double().flatten())
    return parts[:, :count]


def _static_parts(changes: Tensor, n_categories: tuple[int, ...]) -> Tensor:
    """(point, static covariate); a number has two columns, a category one more than its number of categories."""
    widths = [count + 1 if count else 2 for count in n_categories]
    if not widths:
        return changes.new_zeros(len(changes), 0).double()
    return torch.stack([part.double().sum(dim=1) for part in changes.split(widths, dim=1)], dim=1)


def _unsort(points: PathPoints, value: np.ndarray, order: np.ndarray) -> PathPoints:
    """Points in the order in which they were requested."""
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    by_point = {"value": value[back], "gradient": points.gradient[back], "static": points.static[back]}
    origin = {
        "measurement_point": order[points.measurement_point],
        "coded_point": order[points.coded_point],
    }
    return replace(points, **by_point, **origin)
