"""Where the risk came from: integrated gradients from "nothing measured", given back to the measurements."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from clinicalgru.data.sequences import Sequences
from clinicalgru.disclosure import said
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.result import Explanation
from clinicalgru.model.batch import Batch, collate
from clinicalgru.model.estimators import GRUClassifier
from clinicalgru.model.heads import Binary
from clinicalgru.model.inputs import Inputs
from clinicalgru.model.network import ClinicalGRU
from clinicalgru.model.summaries import SUMMARIES, shares
from clinicalgru.model.training import threads

VALUE, MEASURED, TIMING = range(3)


def explain(model: GRUClassifier, stay: Sequences, *, points: int = 128, identify: bool = False) -> Explanation:
    """Contribution of each measurement of one stay to its risk, split into value, being measured, and timing.

    stay      sequences of one stay: test[[0]]
    points    places on the path from baseline to stay; more make the completeness gap smaller
    identify  name the stay by its identifier

    Contributions sum to logit(risk) - logit(baseline), but for the printed gap. The path runs in the network's inputs:
    scores, observed, gaps, summaries, descriptors. What a carried value, a gap or a summary did is given back to the
    measurement it comes from. Refused: other than one stay, a stay without measurements, other variables than the
    model's.

    Source: integrated gradients, Sundararajan et al. 2017, with Gauss-Legendre points.
    """
    if len(stay) != 1:
        raise ArgumentError("one stay", f"{len(stay)}", "Write explain(model, sequences[[i]]).")
    risk = float(model.predict_proba(stay)[0, 1])
    slope = model.calibrator_.slope if model.calibrator_ is not None else 1.0
    shift = model.calibrator_.intercept if model.calibrator_ is not None else 0.0
    network = model.network_.eval()
    with threads(model.threads):
        gradients, full, base, batch = _path_gradients(network, stay, points)
        logit_risk, logit_base = (slope * _log_odds(network, of, batch).item() + shift for of in (full, base))
        weight = _attention(network, stay)
    parts = slope * _by_measurement(gradients, full, base, batch, stay)
    static = slope * _by_static(gradients.static * (full.static - base.static), network.shape.statics)
    measurements = stay.to_frame()[["hours", "variable", "value"]].assign(
        by_value=parts[VALUE], by_measured=parts[MEASURED], by_timing=parts[TIMING], contribution=parts.sum(axis=0)
    )
    return Explanation(
        stay_label=f"stay {stay.stay[0]}" if identify else "stay",
        variables=(*model.variables_, *model.statics_),
        risk=risk,
        baseline=float(1 / (1 + np.exp(-logit_base))),
        measurements=measurements,
        static=_static_frame(stay, static),
        completeness_gap=logit_risk - logit_base - parts.sum() - static.sum(),
        course=course(model, stay),
        attention=pd.DataFrame({"hours": np.unique(stay.hours), "weight": weight}),
        model=provenance(model),
    )


def course(model: GRUClassifier, stay: Sequences) -> pd.DataFrame:
    """Risk of the stay from what was known up to each of its hours, the last at the prediction time: hours, risk."""
    hours = np.append(np.unique(stay.hours), stay.end_hours[0])
    hours = np.unique(hours[hours <= stay.end_hours[0]])
    return pd.DataFrame({"hours": hours, "risk": model.predict_proba(stay.until(hours))[:, 1]})


def provenance(model: GRUClassifier) -> dict[str, str]:
    """Where a model comes from, in words for a page."""
    trained = model.trained_on_
    return {
        "outcome": model.task_.outcome,
        "task": model.task_.title or model.task_.name,
        "trained_on": f"{trained['source']}, {said(trained['stays'])} stays, {said(trained['patients'])} patients",
        "simulated": "yes" if trained["simulated"] else "no",
    }


def _log_odds(network: ClinicalGRU, inputs: Inputs, batch: Batch) -> Tensor:
    """(stay,) log-odds of the mean probability of the members."""
    return Binary().mixed(network.logits(inputs, batch)[0])[0, :, 0]


@torch.no_grad()
def _attention(network: ClinicalGRU, stay: Sequences) -> np.ndarray:
    batch = collate(stay)
    return network.logits(network.scales(batch), batch)[1][0, 0].numpy()


def _baseline(network: ClinicalGRU, batch: Batch, full: Inputs) -> Inputs:
    """The same hours with nothing measured and nothing known."""
    counts = torch.arange(full.summaries.shape[1]) % len(SUMMARIES) == SUMMARIES.index("count")
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


def _path_gradients(network: ClinicalGRU, stay: Sequences, points: int) -> tuple[Inputs, Inputs, Inputs, Batch]:
    """Mean gradient of the log-odds along the path, by input; and the inputs of stay and baseline with their batch."""
    batch = collate(stay)
    with torch.no_grad():
        full = network.scales(batch)
        base = _baseline(network, batch, full)
    place, weight = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(points))
    many = collate(stay[np.zeros(points, dtype=int)])
    copies = {
        "score": torch.arange(points).repeat_interleave(len(batch.value)),
        "observed": many.stay,
        "gap_hours": many.stay,
    }
    along, total = {}, {}
    for field in fields(Inputs):
        a, b = getattr(full, field.name), getattr(base, field.name)
        copy = copies.get(field.name, torch.arange(points))
        part = ((place + 1) / 2).float()[copy].reshape(-1, *[1] * (a.ndim - 1))
        which = _which(copy, points)
        along[field.name] = (b[which] + part * (a - b)[which]).requires_grad_()
        total[field.name] = (copy, which, a)
    logits = _log_odds(network, Inputs(**along), many)
    gradients = torch.autograd.grad((logits * weight / 2).sum(), list(along.values()))
    summed = {
        name: torch.zeros_like(a, dtype=torch.float64).index_add(0, which, gradient.double())
        for (name, (_, which, a)), gradient in zip(total.items(), gradients, strict=True)
    }
    return Inputs(**summed), full, base, batch


def _which(copy: Tensor, points: int) -> Tensor:
    """For each entry of the copies, the entry of the one stay it is a copy of: its number among those of its copy."""
    order = torch.argsort(copy, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    return rank - copy * (len(copy) // points)


def _by_measurement(gradients: Inputs, full: Inputs, base: Inputs, batch: Batch, stay: Sequences) -> np.ndarray:
    """(value / measured / timing, fact) contributions in log-odds."""
    moved = {
        name.name: (getattr(gradients, name.name) * (getattr(full, name.name) - getattr(base, name.name))).numpy()
        for name in fields(Inputs)
    }
    facts = len(stay.value)
    parts = np.zeros((3, facts + 1))  # the last column: cells of variables never seen, where nothing moved
    parts[VALUE, :facts] += moved["score"]
    carried = batch.carried.numpy()
    np.add.at(parts[MEASURED], carried, moved["observed"])
    before = np.vstack([np.full((1, carried.shape[1]), facts), carried[:-1]])  # what the gap of each row counts from
    np.add.at(parts[TIMING], before, moved["gap_hours"])
    owned = shares(stay)
    even = owned[SUMMARIES.index("count")][0]  # that a summary exists at all is due to all its measurements alike
    for number, (weight, kind) in enumerate(owned):
        feature = stay.variable.astype(int) * len(SUMMARIES) + number
        parts[kind, :facts] += weight * moved["summaries"][0, feature]
        parts[MEASURED, :facts] += even * moved["known"][0, feature]
    return parts[:, :facts]


def _by_static(moved: Tensor, levels: tuple[int, ...]) -> np.ndarray:
    """(static,) contributions: a number has two columns, a category one more than it has levels."""
    widths = [count + 1 if count else 2 for count in levels]
    return np.array([part.sum().item() for part in moved[0].split(widths)]) if widths else np.zeros(0)


def _static_frame(stay: Sequences, contribution: np.ndarray) -> pd.DataFrame:
    values = [
        float(list(variable.levels)[int(value)]) if variable.levels and not np.isnan(value) else float(value)
        for variable, value in zip(stay.statics, stay.static[0], strict=True)
    ]
    names = [variable.name for variable in stay.statics]
    return pd.DataFrame({"name": names, "value": values, "contribution": contribution})
