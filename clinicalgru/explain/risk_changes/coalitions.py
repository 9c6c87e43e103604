"""The cooperative games over arrivals: the output of a model when only some results of a time step had arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.faithfulness.perturbation import network_terms
from clinicalgru.explain.risk_trajectory import trajectory_of
from clinicalgru.explain.targets import MemberNetwork, pool_networks
from clinicalgru.model.features.clinical_indices import SUMMARIES, with_indices
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.scaling import Inputs

MAX_ROWS = 2**15  # time steps of all coalitions computed together


class ArrivalGame:
    """Games over the arrivals of each time step of one stay, with the outputs of one network as values.

    Parameters
    ----------
    member : MemberNetwork
        The network and its target.
    stay : Sequences
        One stay, with the coded events that the network knows.

    Attributes
    ----------
    hours : ndarray, shape (step,)
        Hours of the time steps with measurements.
    players : ndarray of bool, shape (step, variable)
        Which variables were measured then.
    value_before : ndarray, shape (step, ...)
        The terms of the explained number, see `pool_networks`, at the hour of the step, before any of it has arrived.
    value_after : ndarray, shape (step, ...)
        The terms when all of the step has arrived.
    trajectory : Trajectory
        The terms after each time step, and at the end.
    """

    def __init__(self, member: MemberNetwork, stay: Sequences) -> None:
        self.member, self.network, self.stay = member, member.network, stay
        network = self.network
        self.hours = np.unique(stay.hours)
        self.batch = network.make_batch(stay, per_step=True)
        self.full = network.scaler(self.batch)
        self.players = self.batch.mask[self.batch.point_row].numpy() > 0
        prefixes = stay.prefixes(self.hours)
        earlier = prefixes.filter_measurements(prefixes.hours < self.hours[prefixes.stay_of_measurement])
        waiting = network.make_batch(earlier)
        without, back = network.scaler(waiting), torch.from_numpy(np.argsort(waiting.order))
        self.names = [variable.name for variable in stay.variables]
        self.summaries_before = waiting.summaries[back]
        self.missing = replace(without, summaries=without.summaries[back], summary_mask=without.summary_mask[back])
        self.value_before = member.terms(network.logits(without, waiting)[0], waiting.point_hours)[back].numpy()
        self.trajectory = trajectory_of(member, stay, batch=self.batch)
        self.value_after = self.trajectory.terms[:-1]

    def values(self, step: np.ndarray, coalition: np.ndarray) -> np.ndarray:
        """Compute the terms after a time step at which only some variables arrived.

        Parameters
        ----------
        step : ndarray of int, shape (coalition,)
            The time step of each coalition.
        coalition : ndarray of bool, shape (coalition, variable)
            Which variables arrived; at least one.

        Returns
        -------
        ndarray, shape (coalition, ...)
        """
        order = np.argsort(-step, kind="stable")
        rows = np.cumsum(step[order] + 1)
        value = np.empty((len(step), *self.value_after.shape[1:]))
        spec = self.network.spec
        for part in np.split(order, np.flatnonzero(np.diff(rows // MAX_ROWS)) + 1) if len(step) else []:
            if spec.code_vocabulary or spec.rolling_hours or not spec.is_causal:  # rows are not those of the stay
                value[part] = self._values_by_stay(step[part], coalition[part])
            else:
                value[part] = self._values_in_batch(step[part], torch.from_numpy(coalition[part]))
        return value

    def _values_by_stay(self, step: np.ndarray, coalition: np.ndarray) -> np.ndarray:
        """Of coalitions, each as a stay of its own."""
        prefixes = self.stay.prefixes(self.hours[step])
        prefix = prefixes.stay_of_measurement
        arrived = (prefixes.hours < self.hours[step][prefix]) | coalition[prefix, prefixes.variable]
        return network_terms(self.member, prefixes.filter_measurements(arrived))

    def _values_in_batch(self, step: np.ndarray, coalition: torch.Tensor) -> np.ndarray:
        """Of coalitions sorted by step, the latest first, as copies of the rows of the stay."""
        last_step = torch.from_numpy(step)
        sizes = np.searchsorted(-step, -np.arange(step[0] + 1), side="right").tolist()
        batch = self._copies(last_step, coalition, sizes)
        logits = self.network.logits(self._inputs(batch, last_step, coalition), batch)[0]
        return np.asarray(self.member.terms(logits, batch.point_hours).numpy())

    def _copies(self, last_step: torch.Tensor, coalition: torch.Tensor, sizes: list[int]) -> Batch:
        """The rows of the stay up to each coalition's step, of which only the coalition arrived."""
        copies = torch.arange(len(last_step))
        row = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        stay = torch.cat([copies[:size] for size in sizes])
        is_last = row == last_step[stay]
        arrived = torch.where(is_last[:, None], coalition[stay], self.batch.mask[row] > 0)
        before = torch.where(row[:, None] > 0, self.batch.locf_index[(row - 1).clamp_min(0)], len(self.batch.value))
        return replace(
            self.batch,
            locf_index=torch.where(arrived | ~is_last[:, None], self.batch.locf_index[row], before),
            mask=arrived.float(),
            delta_hours=self.batch.delta_hours[row],
            hours=self.batch.hours[row],
            stay=stay,
            sizes=sizes,
            static=self.batch.static[last_step],
            order=copies.numpy(),
            point_row=torch.nonzero(is_last)[:, 0][torch.argsort(stay[is_last])],
            point_stay=copies,
            point_hours=self.batch.point_hours[last_step],
            point_number=torch.zeros_like(copies),
            per_step=False,
        )

    def _inputs(self, batch: Batch, last_step: torch.Tensor, coalition: torch.Tensor) -> Inputs:
        """Inputs of the copies: summaries of variables that did not arrive are those of the step before."""
        arrived = coalition.repeat_interleave(len(SUMMARIES), dim=1)
        plain, index = arrived.shape[1], self._index_scores(last_step, arrived)
        scores = torch.where(arrived, self.full.summaries[last_step, :plain], self.missing.summaries[last_step, :plain])
        known, before = (inputs.summary_mask[last_step, :plain] for inputs in (self.full, self.missing))
        mask = torch.where(arrived, known, before)
        return replace(
            self.full,
            mask=batch.mask,
            delta_hours=batch.delta_hours,
            summaries=torch.cat([scores, index.nan_to_num()], dim=1),
            summary_mask=torch.cat([mask, (~index.isnan()).to(mask.dtype)], dim=1),
            static=self.full.static[last_step],
        )

    def _index_scores(self, last_step: torch.Tensor, arrived: torch.Tensor) -> torch.Tensor:
        """(coalition, index) scores of the clinical indices of what had arrived: operands may be of two times."""
        scaler, plain = self.network.scaler, arrived.shape[1]
        if not scaler.indices:
            return arrived.new_zeros((len(arrived), 0), dtype=torch.float32)
        known = torch.where(arrived, self.batch.summaries[last_step, :plain], self.summaries_before[last_step, :plain])
        value = torch.from_numpy(with_indices(known.numpy(), self.names, scaler.indices)[:, plain:])
        column = torch.arange(plain, plain + value.shape[1]).expand(value.shape)
        return scaler.summary.at(value.contiguous(), column.contiguous())


class MeanGame:
    """The games of several networks over the same stay together, with the explained number of the model as value.

    Parameters
    ----------
    games : sequence of ArrivalGame
        One per network.

    Attributes
    ----------
    hours, players, value_before, value_after
        As of `ArrivalGame`.
    end_value : float
        The explained number at the end of the stay.
    """

    def __init__(self, games: Sequence[ArrivalGame]) -> None:
        self.games, self.hours, self.players = games, games[0].hours, games[0].players
        self.value_before = self._pooled([game.value_before for game in games])
        self.value_after = self._pooled([game.value_after for game in games])
        self.end_value = float(self._pooled([game.trajectory.terms[-1:] for game in games])[0])

    def values(self, step: np.ndarray, coalition: np.ndarray) -> np.ndarray:
        """Compute the values of coalitions; see `ArrivalGame.values`.

        Parameters
        ----------
        step : ndarray of int, shape (coalition,)
            The time step of each coalition.
        coalition : ndarray of bool, shape (coalition, variable)
            Its members.

        Returns
        -------
        ndarray, shape (coalition,)
        """
        return self._pooled([game.values(step, coalition) for game in self.games])

    def _pooled(self, terms: Sequence[np.ndarray]) -> np.ndarray:
        return pool_networks(self.games[0].member.target, terms)
