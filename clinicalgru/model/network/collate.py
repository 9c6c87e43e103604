"""Collate: a batch of tensors from sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.features.summaries import summaries_at, summaries_at_end
from clinicalgru.model.network.batch import Batch


@dataclass(frozen=True, eq=False)
class StepSampling:
    """A random sample of the prediction times of each stay.

    Parameters
    ----------
    max_per_stay : int
        Largest number of predictions of a stay.
    rng : numpy.random.Generator
        Where random numbers come from.
    variable_weights : ndarray, shape (variable,), or None
        A time step is sampled with probability proportional to the summed weights of the variables measured at the next
        one. Time steps of weight 0 are sampled last. None: all are equally likely.
    """

    max_per_stay: int
    rng: np.random.Generator
    variable_weights: np.ndarray | None = None


class _Steps(NamedTuple):
    """The time steps of all stays, stay after stay, and the row of each measurement and coded event."""

    n_steps: np.ndarray  # (stay,)
    stay: np.ndarray  # (row,)
    hours: np.ndarray  # (row,)
    measurement_row: np.ndarray  # (measurement,)
    code_row: np.ndarray  # (coded event,) empty where coded events are not used
    code: np.ndarray  # (coded event,)


class _Points(NamedTuple):
    """Prediction times."""

    row: np.ndarray
    stay: np.ndarray
    hours: np.ndarray


class Prefixes(NamedTuple):
    """Further predictions of some stays, earlier than their end, from what was known then.

    Parameters
    ----------
    stay : ndarray of int, shape (prefix,)
        Positions of the stays.
    hours : ndarray of float, shape (prefix,)
        Hours since the index time, not after the end of the stay.
    """

    stay: np.ndarray
    hours: np.ndarray

    def of(self, sequences: Sequences) -> Sequences:
        """The stays as they were known then.

        Parameters
        ----------
        sequences : Sequences
            The stays.

        Returns
        -------
        Sequences
            One entry for each prefix.
        """
        return sequences[self.stay].truncate_at(self.hours)


NO_PREFIXES = Prefixes(np.empty(0, dtype=np.int64), np.empty(0))


def collate(
    sequences: Sequences,
    *,
    per_step: bool = False,
    codes: bool = False,
    indices: tuple[str, ...] = (),
    rolling_hours: tuple[float, ...] = (),
    sample: StepSampling | None = None,
    prefixes: Prefixes = NO_PREFIXES,
) -> Batch:
    """Make a batch of stays.

    Parameters
    ----------
    sequences : Sequences
        The stays.
    per_step : bool
        Whether a prediction is made after each time step with measurements; else at the end of each stay.
    codes : bool
        Whether coded events are used. Time steps are then the distinct hours of measurements and coded events.
    indices : tuple of str
        Clinical indices, such as "pao2 last / fio2 last", besides the summaries.
    rolling_hours : tuple of float
        Windows whose statistics are among the summaries.
    sample : StepSampling or None
        A random sample of the predictions; None: all of them.
    prefixes : Prefixes
        Further predictions, where one is made at the end of each stay.

    Returns
    -------
    Batch
        The predictions of `prefixes` stand after those at the end of each stay.

    References
    ----------
    Che et al. 2018, Eq. 2, for the time gaps; here in hours, and without a loop over time steps.
    """
    order = np.argsort(-_time_steps(sequences, codes=codes).n_steps, kind="stable")
    sequences = sequences[order]
    steps = _time_steps(sequences, codes=codes)
    packed_row, sizes = _packed_rows(steps.n_steps)
    by_time = np.empty_like(packed_row)
    by_time[packed_row] = np.arange(len(packed_row))
    measured = _measured_at(sequences, steps)
    locf = _locf_index(sequences, steps, measured)
    points = _points(sequences, steps, packed_row, by_time, per_step=per_step)
    if sample is not None:
        points = _sampled_points(points, steps, measured, by_time, sample)
    earlier = Prefixes(np.argsort(order)[prefixes.stay], prefixes.hours)
    known = earlier.of(sequences) if len(earlier.stay) else None
    if known is not None:
        points = _with_prefixes(points, earlier, _time_steps(known, codes=codes).n_steps, packed_row, steps)
    features: dict[str, Any] = {"indices": indices, "rolling_hours": rolling_hours}
    return Batch(
        sizes=sizes,
        order=order,
        per_step=per_step,
        **_row_tensors(sequences, steps, locf=locf, packed_row=packed_row, by_time=by_time),
        **_point_tensors(
            sequences, points, locf=locf, by_time=by_time, per_step=per_step, features=features, known=known
        ),
        **_code_tensors(steps, packed_row),
    )


def _time_steps(sequences: Sequences, *, codes: bool) -> _Steps:
    """The distinct hours of each stay."""
    measurement_stay, n_measurements = sequences.stay_of_measurement, len(sequences.hours)
    if not codes:
        new, none = sequences.is_new_step, np.empty(0, dtype=np.int64)
        return _Steps(sequences.n_steps, measurement_stay[new], sequences.hours[new], np.cumsum(new) - 1, none, none)
    stay = np.concatenate([measurement_stay, sequences.stay_of_code])
    hours = np.concatenate([sequences.hours, sequences.code_hours])
    order = np.lexsort((hours, stay))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(hours[order]) != 0) | (np.diff(stay[order]) != 0)
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.cumsum(new) - 1
    stay, hours = stay[order][new], hours[order][new]
    n_steps = np.bincount(stay, minlength=len(sequences))
    return _Steps(n_steps, stay, hours, row[:n_measurements], row[n_measurements:], sequences.code.astype(np.int64))


def _packed_rows(n_steps: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The packed row of each row that stands stay after stay, and the number of stays that have each time step."""
    begins = np.cumsum(n_steps) - n_steps
    longest = int(n_steps.max(initial=0))
    sizes = np.searchsorted(-n_steps, -np.arange(longest), side="left")
    before = np.cumsum(sizes) - sizes
    step = np.arange(n_steps.sum()) - np.repeat(begins, n_steps)
    return before[step] + np.repeat(np.arange(len(n_steps)), n_steps), sizes.tolist()


def _measured_at(sequences: Sequences, steps: _Steps) -> np.ndarray:
    """The measurement of each variable that became known at each row, stay after stay; -1 for none."""
    measured = np.full((len(steps.hours), len(sequences.variables)), -1, dtype=np.int32)
    measured[steps.measurement_row, sequences.variable] = np.arange(len(sequences.value), dtype=np.int32)
    return measured


def _locf_index(sequences: Sequences, steps: _Steps, measured: np.ndarray) -> np.ndarray:
    """The last measurement of each variable at or before each row, stay after stay; `len(value)` for none."""
    locf = np.maximum.accumulate(measured, axis=0) if len(measured) else measured
    of_stay_before = locf < sequences.starts[steps.stay].astype(np.int32)[:, None]
    return np.where(of_stay_before, np.int32(len(sequences.value)), locf)


def _delta_hours(sequences: Sequences, steps: _Steps, locf: np.ndarray) -> np.ndarray:
    """Hours since each variable was measured before each row, stay after stay."""
    first_row = np.cumsum(steps.n_steps) - steps.n_steps
    last_hours = np.append(sequences.hours - sequences.availability_lag, np.nan).take(locf)
    np.copyto(last_hours, steps.hours[first_row[steps.stay]][:, None], where=locf == len(sequences.hours))
    delta = np.empty(locf.shape, dtype=np.float32)
    np.subtract(steps.hours[1:, None], last_hours[:-1], out=delta[1:], casting="same_kind")
    delta[first_row[steps.n_steps > 0]] = 0
    return delta


def _row_tensors(
    sequences: Sequences, steps: _Steps, *, locf: np.ndarray, packed_row: np.ndarray, by_time: np.ndarray
) -> dict[str, Any]:
    """The fields of measurements and rows."""
    mask = np.zeros(locf.shape, dtype=np.float32)
    mask[packed_row[steps.measurement_row], sequences.variable] = 1
    return {
        "value": torch.from_numpy(sequences.value),
        "variable": torch.from_numpy(sequences.variable.astype(np.int64)),
        "locf_index": torch.from_numpy(locf.take(by_time, axis=0).astype(np.int64)),
        "mask": torch.from_numpy(mask),
        "delta_hours": torch.from_numpy(_delta_hours(sequences, steps, locf).take(by_time, axis=0)),
        "hours": torch.from_numpy(steps.hours[by_time].astype(np.float32)),
        "stay": torch.from_numpy(steps.stay[by_time]),
    }


def _points(
    sequences: Sequences, steps: _Steps, packed_row: np.ndarray, by_time: np.ndarray, *, per_step: bool
) -> _Points:
    """All prediction times of the stays."""
    if per_step:
        has_measurement = np.zeros(len(steps.hours), dtype=bool)
        has_measurement[steps.measurement_row] = True
        row = np.flatnonzero(has_measurement[by_time])
        return _Points(row, steps.stay[by_time][row], steps.hours[by_time][row])
    last = np.cumsum(steps.n_steps) - 1
    row = np.where(steps.n_steps > 0, packed_row[last] if len(packed_row) else -1, -1)
    return _Points(row, np.arange(len(steps.n_steps)), sequences.end_hours)


def _with_prefixes(
    points: _Points, prefixes: Prefixes, n_steps: np.ndarray, packed_row: np.ndarray, steps: _Steps
) -> _Points:
    """The prediction times, and those of prefixes of so many time steps: rows of their stays."""
    begins = np.cumsum(steps.n_steps) - steps.n_steps
    last = begins[prefixes.stay] + n_steps - 1
    row = np.where(n_steps > 0, packed_row[last] if len(packed_row) else -1, -1)
    return _Points(*map(np.concatenate, zip(points, (row, prefixes.stay, prefixes.hours), strict=True)))


def _sampled_points(
    points: _Points, steps: _Steps, measured: np.ndarray, by_time: np.ndarray, sample: StepSampling
) -> _Points:
    """A random sample of the prediction times of each stay."""
    weight = None
    if sample.variable_weights is not None:
        weight = _next_weight(measured >= 0, steps.stay, sample.variable_weights)[by_time][points.row]
    chosen = subsample(points.stay, sample.max_per_stay, sample.rng, weight=weight)
    return _Points(*(field[chosen] for field in points))


def _point_tensors(
    sequences: Sequences,
    points: _Points,
    *,
    locf: np.ndarray,
    by_time: np.ndarray,
    per_step: bool,
    features: dict[str, Any],
    known: Sequences | None,
) -> dict[str, Any]:
    """The fields of prediction times; `known` has the stays of those that stand after the end of each stay."""
    if per_step:
        summaries = summaries_at(sequences, locf[by_time[points.row]], points.hours, **features)
        static = sequences.static_at(points.stay, points.hours)
    else:
        ends = points.stay[: len(points.stay) - (0 if known is None else len(known))]
        summaries, static = summaries_at_end(sequences, **features)[ends], sequences.static[ends]
    if known is not None:
        summaries = np.concatenate([summaries, summaries_at_end(known, **features)])
        static = np.concatenate([static, known.static])
    return {
        "point_row": torch.from_numpy(points.row),
        "point_stay": torch.from_numpy(points.stay),
        "point_hours": torch.from_numpy(points.hours),
        "point_number": torch.from_numpy(_rank_in_stay(points.stay)),
        "summaries": torch.from_numpy(summaries),
        "static": torch.from_numpy(static),
    }


def _code_tensors(steps: _Steps, packed_row: np.ndarray) -> dict[str, Any]:
    """The fields of coded events."""
    is_new = np.zeros(len(steps.code), dtype=np.float32)  # the events of a stay ascend in time
    pairs = np.stack([steps.stay[steps.code_row], steps.code])
    is_new[np.unique(pairs, axis=1, return_index=True)[1]] = 1
    return {
        "code": torch.from_numpy(steps.code),
        "code_row": torch.from_numpy(packed_row[steps.code_row]),
        "code_is_new": torch.from_numpy(is_new),
    }


def _rank_in_stay(stay: np.ndarray) -> np.ndarray:
    """The number of each entry among those of its stay, from 0."""
    order = np.argsort(stay, kind="stable")
    rank = np.empty(len(stay), dtype=np.int64)
    ordered = stay[order]
    rank[order] = np.arange(len(stay)) - np.searchsorted(ordered, ordered)
    return rank


@np.errstate(divide="ignore")  # entries of weight 0 come last
def subsample(
    stay: np.ndarray, max_per_stay: int, rng: np.random.Generator, *, weight: np.ndarray | None = None
) -> np.ndarray:
    """Sample entries of each stay without replacement.

    Parameters
    ----------
    stay : ndarray of int, shape (entry,)
        The stay of each entry.
    max_per_stay : int
        Largest number of entries of a stay.
    rng : numpy.random.Generator
        Where random numbers come from.
    weight : ndarray, shape (entry,), or None
        Entries are drawn with probability proportional to it. None: all are equally likely.

    Returns
    -------
    ndarray of int
        Positions, ascending.

    References
    ----------
    Efraimidis and Spirakis 2006, Weighted random sampling with a reservoir.
    """
    order = rng.permutation(len(stay)) if weight is None else np.argsort(rng.exponential(size=len(stay)) / weight)
    return np.sort(order[_rank_in_stay(stay[order]) < max_per_stay])


def _next_weight(measured: np.ndarray, stay: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The summed weights of the variables measured at the next row of the same stay; rows stand stay after stay."""
    mass, same_stay = measured @ weights, stay[1:] == stay[:-1]
    return np.append(np.where(same_stay, mass[1:], 0.0), 0.0)[: len(mass)]
