"""Straight lines from "nothing measured" to stays, in what the network sees of them; and the slopes along them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.explain.attribution.batch_copies import Copies, copied
from clinicalgru.explain.voices import Voice
from clinicalgru.model.features.clinical_indices import SUMMARIES, index_parts
from clinicalgru.model.features.summaries import shares
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.network.scaling import Inputs

VALUE, MEASURED, TIMING = range(3)
NEW = "code_new"  # which coded events count to those that a stay has had so far
BAG = "encoder.steps.bag"  # the part of the network that adds up the coded events of a step
HELD = 0.2  # part of a summary that belongs to the measurements that hold it


@dataclass(frozen=True, eq=False)
class Ends:
    """Both ends of the lines: the stays, and the same hours with nothing measured and nothing known.

    embedded  (level, stay, feature x size) of the summaries: unknown; known at the training median; as they are
    """

    full: Inputs
    base: Inputs
    embedded: Tensor


@dataclass(frozen=True, eq=False)
class Sampled:
    """What was found at places on the lines.

    height  (place,)         the number that is explained
    slope   (place,)         its derivative along the line
    parts   (3, fact)        share of each measurement of each place in that derivative: value, measured, timing
    fact    (fact,)          which measurement of the stays
    of      (fact,)          which place
    static  (place, static)  share of each descriptor
    coded   (coded event,)   share of each coded event
    event   (coded event,)   which coded event of the stays
    of_event (coded event,)  which place
    """

    height: np.ndarray
    slope: np.ndarray
    parts: np.ndarray
    fact: np.ndarray
    of: np.ndarray
    static: np.ndarray
    coded: np.ndarray
    event: np.ndarray
    of_event: np.ndarray


class Lines:
    """The lines of some stays, as one network sees them.

    batch   the stays at their ends, where it was made already: of one stay only
    order   (stay,) their positions: within, they stand sorted by their number of steps, longest first
    steps   (stay,) of each
    at_end  (member, stay, output) logits of the stays as they are, once they were looked at: of one stay only

    Between its ends a line is straight in scores, masks, gaps, descriptors and embedded summaries: their bends at the
    training quantiles would cost ten times as many places for the same completeness gap.
    """

    def __init__(self, voice: Voice, stays: Sequences, *, batch: Batch | None = None) -> None:
        self.network, self.asked = voice.network, voice.asked
        stays = voice.heard(stays)
        self.order = self.network.batch(stays).order if len(stays) > 1 else np.zeros(1, dtype=np.int64)
        self.stays = stays[self.order] if len(stays) > 1 else stays
        self.batch = self.network.batch(self.stays) if batch is None else batch
        self.steps = np.bincount(self.batch.stay.numpy(), minlength=len(stays))
        with torch.no_grad():
            self.ends = _ends(self.network, self.batch)
        self.owned = _owned(self.stays)
        names = [variable.name for variable in stays.variables]
        self.parts = torch.from_numpy(index_parts(names, self.network.spec.clinical_indices))
        self.at_end: Tensor | None = None

    def at(self, stay: np.ndarray, place: np.ndarray) -> Sampled:
        """Heights and slopes at these places of the lines.

        stay   (place,)  which line
        place  (place,)  from 0, nothing measured, to 1, the stay
        """
        order = np.argsort(stay, kind="stable")
        copies = copied(self.stays, self.batch, stay[order])
        inputs, beside = self._between(copies, stay[order], place[order])
        leaves = {field.name: getattr(inputs, field.name).requires_grad_() for field in fields(Inputs)}
        leaves |= {name: tensor.requires_grad_() for name, tensor in beside.items()}
        batch = replace(copies.batch, code_new=beside.pop(NEW))
        with given(self.network, beside):
            logits = self.network.logits(inputs, batch)[0]
        height, whole = self.asked(logits), place[order] == 1
        if len(self.stays) == 1 and whole.any():
            self.at_end = logits.detach()[:, torch.from_numpy(whole)]
        found = torch.autograd.grad(height.sum(), list(leaves.values()), allow_unused=True)
        slopes = {
            name: torch.zeros_like(leaf) if slope is None else slope
            for (name, leaf), slope in zip(leaves.items(), found, strict=True)
        }
        return _put_back(self._shared(slopes, copies, stay[order]), height.detach().numpy(), order)

    def _entries(self, copies: Copies, stay: np.ndarray) -> dict[str, tuple[Tensor, Tensor]]:
        """For each input of the copies: of which entry of the stays each entry is a copy, and in which place."""
        row, by_stay = (copies.row, copies.batch.stay), (torch.from_numpy(stay), torch.arange(len(stay)))
        by_row = {"score": (copies.fact, copies.of_fact), "observed": row, "gap_hours": row}
        return by_row | dict.fromkeys(("summaries", "known", "static"), by_stay)

    def _between(self, copies: Copies, stay: np.ndarray, place: np.ndarray) -> tuple[Inputs, dict[str, Tensor]]:
        """Inputs at these places; and what goes in beside them: embedded summaries, and coded events."""
        part, between = torch.from_numpy(place).float(), {}
        for name, (entry, of) in self._entries(copies, stay).items():
            base, full = getattr(self.ends.base, name)[entry], getattr(self.ends.full, name)[entry]
            between[name] = torch.lerp(base, full, part[of].reshape(-1, *[1] * (base.ndim - 1)))
        unknown, _, known = self.ends.embedded[:, torch.from_numpy(stay)]
        new = copies.batch.code_new * part[copies.of_event]
        beside = {"embedding": torch.lerp(unknown, known, part[:, None]), NEW: new}
        bag = self.network.encoder.steps.bag
        if bag is not None:
            beside[BAG] = bag(copies.batch).detach() * part[copies.batch.stay, None]
        return Inputs(**between), beside

    def _shared(self, slopes: dict[str, Tensor], copies: Copies, stay: np.ndarray) -> Sampled:
        """Slopes times the length of each way, given back to the measurements."""
        ends, bag = self.ends, self.network.encoder.steps.bag
        moved = {
            name: slopes[name] * (getattr(ends.full, name) - getattr(ends.base, name))[entry]
            for name, (entry, _) in self._entries(copies, stay).items()
        }
        parts = _by_sequence(moved, copies.batch)
        levels = ends.embedded[:, torch.from_numpy(stay)]
        embedded = (levels.diff(dim=0) * slopes["embedding"]).unflatten(2, (ends.full.known.shape[1], -1))
        summarised = _by_parts(embedded.sum(dim=3).double(), ends.full.known[torch.from_numpy(stay)], self.parts)
        for kind, share in self._by_summary(summarised, copies.fact, copies.of_fact):
            parts[kind] += share
        static, coded = _by_static(moved["static"], self.network.spec.static_variables), parts.new_zeros(0)
        if bag is not None:
            embedded = bag.table.detach()[copies.batch.code]
            coded = (slopes[BAG][copies.batch.code_row] * embedded).double().sum(dim=1)
            coded = coded + slopes[NEW].double() * copies.batch.code_new
        slope = parts.new_zeros(len(stay)).index_add(0, copies.of_fact, parts.sum(dim=0)) + static.sum(dim=1)
        slope = slope.index_add(0, copies.of_event, coded)
        found = (slope, parts, copies.fact, copies.of_fact, static, coded, copies.event, copies.of_event)
        return Sampled(np.empty(0), *(tensor.numpy() for tensor in found))

    def _by_summary(self, moved: Tensor, fact: Tensor, of: Tensor) -> Iterator[tuple[int, Tensor]]:
        """moved (2, place, summary): by being known at all, and by what is known, of the summaries."""
        shape = len(moved[0]), len(self.stays.variables), len(SUMMARIES)
        known, value = (part.reshape(shape)[of, self.batch.variable[fact]] for part in moved)
        weights = torch.from_numpy(np.stack([weight for weight, _ in self.owned], axis=1))[fact]
        even = weights[:, SUMMARIES.index("count")]  # that a summary exists at all is due to all its measurements alike
        yield MEASURED, even * known.sum(dim=1)
        for number, (_, kind) in enumerate(self.owned):
            yield kind, weights[:, number] * value[:, number]


@contextmanager
def given(network: ClinicalGRU, outputs: dict[str, Tensor]) -> Iterator[None]:
    """The network with these outputs of its parts, by their names, whatever they are given."""
    handles = [
        network.get_submodule(name).register_forward_hook(lambda *_, output=output: output)
        for name, output in outputs.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _ends(network: ClinicalGRU, batch: Batch) -> Ends:
    full = network.scales(batch)
    base = baseline(network, batch, full)
    levels = ((base.summaries, base.known), (base.summaries, full.known), (full.summaries, full.known))
    return Ends(full, base, torch.stack([network.embedding(*level) for level in levels]))


def baseline(network: ClinicalGRU, batch: Batch, full: Inputs) -> Inputs:
    """The same hours with nothing measured and nothing known."""
    column = torch.arange(full.summaries.shape[1])
    of_variables = column < network.spec.variables * len(SUMMARIES)  # then come the clinical indices: not known
    counts = of_variables & (column % len(SUMMARIES) == SUMMARIES.index("count"))
    none = network.scales.summary(torch.where(counts, 0.0, torch.nan)[None].expand_as(full.summaries))
    first = batch.hours.new_full((len(batch.order),), torch.inf).scatter_reduce(0, batch.stay, batch.hours, "amin")
    return Inputs(
        score=torch.zeros_like(full.score),
        observed=torch.zeros_like(full.observed),
        gap_hours=(batch.hours - first[batch.stay])[:, None].expand_as(full.gap_hours),
        summaries=none.nan_to_num(),
        known=(~none.isnan()).to(full.known.dtype),
        static=torch.zeros_like(full.static),
    )


def _owned(stays: Sequences) -> list[tuple[np.ndarray, int]]:
    """For each summary, how facts share what it moved: partly the facts that hold it, partly all of its cell alike.

    Without its lowest value, a minimum is the next lowest: it is not the lowest's alone. On PhysioNet 2012 set b,
    deletion in the order of contributions lowered the log-odds by 1.22 where a summary belonged to its holders alone,
    by 1.36 where by half, by 1.44 where by a fifth, and by 1.40 where it belonged to all alike.
    """
    owned = shares(stays)
    even = owned[SUMMARIES.index("count")][0]
    return [(HELD * weight + (1 - HELD) * even, kind) for weight, kind in owned]


def _by_parts(moved: Tensor, known: Tensor, parts: Tensor) -> Tensor:
    """(2, place, summary) what each clinical index moved goes in equal parts to the known summaries it is made of.

    moved  (2, place, summary + index)
    known  (place, summary + index)
    parts  (index, part) summaries that an index is made of; -1 = none
    """
    own, made = moved.split([moved.shape[2] - len(parts), len(parts)], dim=2)
    there = known[:, parts.clamp_min(0)] * (parts >= 0)
    share = there / there.sum(dim=2, keepdim=True).clamp_min(1)
    return own.index_add(2, parts.clamp_min(0).flatten(), (made[..., None] * share).flatten(2))


def _by_sequence(moved: dict[str, Tensor], many: Batch) -> Tensor:
    """(3, fact) what scores, masks and gaps moved; a carried value and a gap belong to the fact they come from."""
    facts = len(many.value)
    parts = torch.zeros(3, facts + 1, dtype=torch.float64)  # the last: cells of variables never seen, nothing moved
    parts[VALUE, :facts] += moved["score"]
    parts[MEASURED].index_add_(0, many.carried.flatten(), moved["observed"].double().flatten())
    sizes = torch.tensor([0, *many.sizes[:-1]])
    before = many.carried[(torch.arange(len(many.hours)) - sizes[many.step]).clamp_min(0)]
    before = torch.where(many.step[:, None] > 0, before, facts)  # what the gap of each row counts from
    parts[TIMING].index_add_(0, before.flatten(), moved["gap_hours"].double().flatten())
    return parts[:, :facts]


def _by_static(moved: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(place, static): a number has two columns, a category one more than it has levels."""
    widths = [count + 1 if count else 2 for count in levels]
    if not widths:
        return moved.new_zeros(len(moved), 0).double()
    return torch.stack([part.double().sum(dim=1) for part in moved.split(widths, dim=1)], dim=1)


def _put_back(sampled: Sampled, height: np.ndarray, order: np.ndarray) -> Sampled:
    """Places in the order in which they were asked for."""
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    by_place = {"height": height[back], "slope": sampled.slope[back], "static": sampled.static[back]}
    return replace(sampled, **by_place, of=order[sampled.of], of_event=order[sampled.of_event])
