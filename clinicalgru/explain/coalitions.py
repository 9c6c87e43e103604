"""What the model says where only some of the measurements that arrived at a step had arrived."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from clinicalgru.data.sequences import Sequences
from clinicalgru.explain.asked import Asked, until
from clinicalgru.explain.course import after_each_step
from clinicalgru.explain.removal import numbers
from clinicalgru.model.batch import Batch
from clinicalgru.model.inputs import Inputs
from clinicalgru.model.network import ClinicalGRU
from clinicalgru.model.summaries import SUMMARIES

ROWS = 2**15  # steps of all coalitions looked at together


class Arrivals:
    """The steps of one stay.

    hours    (step,)
    arrived  (step, variable)  whether it was measured then
    before   (step,)  the number when the hour has come and nothing of the step has arrived
    after    (step,)  the number when all of it has
    end      the number at the prediction time
    """

    def __init__(self, network: ClinicalGRU, asked: Asked, stay: Sequences) -> None:
        self.network, self.asked, self.stay = network, asked, stay
        self.hours = np.unique(stay.hours)
        self.batch = network.batch(stay, every_step=True)
        self.full = network.scales(self.batch)
        self.arrived = self.batch.observed[self.batch.point_row].numpy() > 0
        prefixes = until(stay, self.hours)
        waiting = network.batch(prefixes.without_facts(prefixes.hours < self.hours[prefixes.stay_of_fact]))
        without, back = network.scales(waiting), torch.from_numpy(np.argsort(waiting.order))
        self.missing = replace(without, summaries=without.summaries[back], known=without.known[back])
        self.before = asked(network.logits(without, waiting)[0])[back].numpy()
        self.after = asked(after_each_step(network, stay)[0]).numpy()
        self.end = float(numbers(network, asked, stay)[0])

    def numbers(self, step: np.ndarray, there: np.ndarray) -> np.ndarray:
        """(coalition,) the number after a step of which only some variables arrived.

        step   (coalition,)
        there  (coalition, variable)  which arrived; at least one
        """
        order = np.argsort(-step, kind="stable")
        rows = np.cumsum(step[order] + 1)
        found = np.empty(len(step))
        for part in np.split(order, np.flatnonzero(np.diff(rows // ROWS)) + 1) if len(step) else []:
            if self.network.shape.codes or not self.network.shape.causal:  # rows are not the steps of measurements
                found[part] = self._apart(step[part], there[part])
            else:
                found[part] = self._together(step[part], torch.from_numpy(there[part]))
        return found

    def _apart(self, step: np.ndarray, there: np.ndarray) -> np.ndarray:
        """Of coalitions, each as a stay of its own."""
        prefixes = until(self.stay, self.hours[step])
        of = prefixes.stay_of_fact
        kept = (prefixes.hours < self.hours[step][of]) | there[of, prefixes.variable]
        return numbers(self.network, self.asked, prefixes.without_facts(kept))

    def _together(self, step: np.ndarray, there: torch.Tensor) -> np.ndarray:
        """Of coalitions that stand sorted by step, the latest first."""
        at, copies = torch.from_numpy(step), torch.arange(len(step))
        sizes = np.searchsorted(-step, -np.arange(step[0] + 1), side="right").tolist()
        row = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        stay = torch.cat([copies[:size] for size in sizes])
        last = row == at[stay]
        here = torch.where(last[:, None], there[stay], self.batch.observed[row] > 0)
        before = torch.where(row[:, None] > 0, self.batch.carried[(row - 1).clamp_min(0)], len(self.batch.value))
        batch = replace(
            self.batch,
            carried=torch.where(here | ~last[:, None], self.batch.carried[row], before),
            observed=here.float(),
            gap_hours=self.batch.gap_hours[row],
            hours=self.batch.hours[row],
            stay=stay,
            sizes=sizes,
            static=self.batch.static.expand(len(step), -1),
            order=copies.numpy(),
            point_row=torch.nonzero(last)[:, 0][torch.argsort(stay[last])],
            point_stay=copies,
            point_hours=self.batch.point_hours[at],
            point_number=torch.zeros_like(copies),
            every_step=False,
        )
        return np.asarray(self.asked(self.network.logits(self._inputs(batch, at, there), batch)[0]).numpy())

    def _inputs(self, batch: Batch, at: torch.Tensor, there: torch.Tensor) -> Inputs:
        wide = there.repeat_interleave(len(SUMMARIES), dim=1)
        return replace(
            self.full,
            observed=batch.observed,
            gap_hours=batch.gap_hours,
            summaries=torch.where(wide, self.full.summaries[at], self.missing.summaries[at]),
            known=torch.where(wide, self.full.known[at], self.missing.known[at]),
            static=self.full.static.expand(len(at), -1),
        )
