"""What the model says where only some of the measurements that arrived at a step had arrived."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.faithfulness.perturbation import numbers
from clinicalgru.explain.risk_trajectory import followed
from clinicalgru.explain.voices import Voice
from clinicalgru.model.features.clinical_indices import SUMMARIES, index_parts
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.scaling import Inputs

ROWS = 2**15  # steps of all coalitions looked at together


class Arrivals:
    """The steps of one stay, as one network hears of them.

    hours     (step,)
    arrived   (step, variable)  whether it was measured then
    before    (step,)  the number when the hour has come and nothing of the step has arrived
    followed  what the network says after each step, and at the end
    after     (step,)  the number when all of a step has arrived
    """

    def __init__(self, voice: Voice, stay: Sequences) -> None:
        self.voice, self.network, self.stay = voice, voice.network, voice.heard(stay)
        network, stay = self.network, self.stay
        self.hours = np.unique(stay.hours)
        self.batch = network.batch(stay, every_step=True)
        self.full = network.scales(self.batch)
        self.arrived = self.batch.observed[self.batch.point_row].numpy() > 0
        prefixes = stay.prefixes(self.hours)
        waiting = network.batch(prefixes.filter_measurements(prefixes.hours < self.hours[prefixes.stay_of_measurement]))
        without, back = network.scales(waiting), torch.from_numpy(np.argsort(waiting.order))
        names = [variable.name for variable in stay.variables]
        self.parts = torch.from_numpy(index_parts(names, network.spec.clinical_indices))
        self.missing = replace(without, summaries=without.summaries[back], known=without.known[back])
        self.before = voice.asked(network.logits(without, waiting)[0])[back].numpy()
        self.followed = followed(voice, stay, batch=self.batch)
        self.after = self.followed.number[:-1]

    def numbers(self, step: np.ndarray, there: np.ndarray) -> np.ndarray:
        """(coalition,) the number after a step of which only some variables arrived.

        step   (coalition,)
        there  (coalition, variable)  which arrived; at least one
        """
        order = np.argsort(-step, kind="stable")
        rows = np.cumsum(step[order] + 1)
        found = np.empty(len(step))
        for part in np.split(order, np.flatnonzero(np.diff(rows // ROWS)) + 1) if len(step) else []:
            if (
                self.network.spec.code_vocabulary or not self.network.spec.is_causal
            ):  # rows are not the steps of measurements
                found[part] = self._apart(step[part], there[part])
            else:
                found[part] = self._together(step[part], torch.from_numpy(there[part]))
        return found

    def _apart(self, step: np.ndarray, there: np.ndarray) -> np.ndarray:
        """Of coalitions, each as a stay of its own."""
        prefixes = self.stay.prefixes(self.hours[step])
        of = prefixes.stay_of_measurement
        kept = (prefixes.hours < self.hours[step][of]) | there[of, prefixes.variable]
        return numbers((self.voice,), prefixes.filter_measurements(kept))

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
        return np.asarray(self.voice.asked(self.network.logits(self._inputs(batch, at, there), batch)[0]).numpy())

    def _inputs(self, batch: Batch, at: torch.Tensor, there: torch.Tensor) -> Inputs:
        wide = there.repeat_interleave(len(SUMMARIES), dim=1)
        wide = torch.cat([wide, (wide[:, self.parts.clamp_min(0)] | (self.parts < 0)).all(dim=2)], dim=1)
        return replace(
            self.full,
            observed=batch.observed,
            gap_hours=batch.gap_hours,
            summaries=torch.where(wide, self.full.summaries[at], self.missing.summaries[at]),
            known=torch.where(wide, self.full.known[at], self.missing.known[at]),
            static=self.full.static.expand(len(at), -1),
        )


class Together:
    """The steps of one stay as several networks hear of them: each number is the mean of theirs."""

    def __init__(self, each: list[Arrivals]) -> None:
        self.each, self.hours, self.arrived = each, each[0].hours, each[0].arrived
        self.before, self.after = (
            np.mean([getattr(one, name) for one in each], axis=0) for name in ("before", "after")
        )
        self.end = float(np.mean([one.followed.number[-1] for one in each]))

    def numbers(self, step: np.ndarray, there: np.ndarray) -> np.ndarray:
        """(coalition,) as of `Arrivals`."""
        return np.asarray(np.mean([one.numbers(step, there) for one in self.each], axis=0))
