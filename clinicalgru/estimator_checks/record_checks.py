"""Laws of irregular, incomplete records: masks, extremes, and what comes later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.estimator_checks.case import CheckCase, NotApplicable, must, same
from clinicalgru.estimator_checks.registry import check

Row = tuple[int, float, float]  # position of a variable, hours, value


@check
def _measurements_move_the_prediction(case: CheckCase) -> None:
    stays = case.test[:4]
    first = np.zeros(len(stays.value), dtype=bool)
    first[stays.starts[:-1]] = True
    last = [rows[-1] for rows in case.by_stay(stays, case.predict(stays))]
    alone = case.by_stay(stays.filter_measurements(first), case.predict(stays.filter_measurements(first)))
    gap = [np.abs(np.nan_to_num(a[-1]) - np.nan_to_num(b)).max() for a, b in zip(alone, last, strict=True)]
    must(max(gap) > 0, "no measurement but the first moves any prediction")


@check
def _not_measured_is_not_the_mean(case: CheckCase) -> None:
    if case.train.task.task_type == "forecast":
        raise NotApplicable("a forecast may repeat the last value")
    variable = int(np.bincount(case.train.variable).argmax())
    mean = float(case.train.value[case.train.variable == variable].mean())
    stays = case.test[:4]
    without = stays.filter_measurements(stays.variable != variable)
    hours = float(stays.hours.max())
    measured = with_rows(without, {i: [(variable, hours, mean)] for i in range(len(without))})
    gap = [
        np.abs(a[-1] - b[-1]).max()
        for a, b in zip(
            case.by_stay(without, case.predict(without)), case.by_stay(measured, case.predict(measured)), strict=True
        )
    ]
    must(max(gap) > 0, "measured at the mean is the same as not measured")


@check
def _a_stay_without_measurements_gets_no_silent_number(case: CheckCase) -> None:
    empty = case.test[:3].filter_measurements(case.test[:3].stay_of_measurement != 0)
    try:
        table = case.predict(empty)
    except ValueError:
        return
    known = getattr(case.model, "has_observations", None)
    marked = known is not None and not known(empty)[0]  # the number is there, and is known to say nothing
    must(case.predicts_steps or np.isnan(table[0]).all() or marked, "a stay without measurements has a prediction")


@check
def _one_measurement_is_enough(case: CheckCase) -> None:
    _finite(case, [(0, 10.0, _typical(case, 0))], "a stay of one measurement")


@check
def _thousands_of_measurements_are_not_too_many(case: CheckCase) -> None:
    value = _typical(case, 0)
    _finite(case, [(0, float(hour), value) for hour in np.linspace(0, 24, 2000)], "a stay of 2,000 measurements")


@check
def _seconds_and_years_between_measurements_are_borne(case: CheckCase) -> None:
    value = _typical(case, 0)
    rows = [(0, 0.0, value), (0, 1 / 3600, value), (0, 50 * 8766.0, value)]
    _finite(case, rows, "gaps from a second to 50 years")


@check
def _absurd_values_are_borne(case: CheckCase) -> None:
    value = _typical(case, 0)
    _finite(case, [(0, 1.0, value), (0, 2.0, 3e8), (0, 3.0, -3e8)], "values of 300 million")


@check
def _measurements_before_the_index_time_are_borne(case: CheckCase) -> None:
    value = _typical(case, 0)
    _finite(case, [(0, -48.0, value), (0, 1.0, value)], "measurements before the index time")


@check
def _all_variables_at_once_are_borne(case: CheckCase) -> None:
    rows = [(i, 5.0, _typical(case, i)) for i in range(len(case.test.variables))]
    _finite(case, rows, "all variables at one hour")


@check
def _one_variable_alone_is_borne(case: CheckCase) -> None:
    last = len(case.test.variables) - 1
    _finite(case, [(last, hour, _typical(case, last)) for hour in (1.0, 9.0)], "one variable alone")


@check
def _unknown_static_covariates_are_borne(case: CheckCase) -> None:
    stays = case.test[:3]
    unknown = replace(
        stays,
        static=np.full_like(stays.static, np.nan),
        static_starts=np.zeros(len(stays) + 1, dtype=np.int64),
        static_hours=np.empty(0),
        static_column=np.empty(0, np.int16),
        static_value=np.empty(0, np.float32),
    )
    must(_known(case, case.predict(unknown)), "stays without static covariates have no finite prediction")


@check
def _the_mean_is_not_the_only_prediction(case: CheckCase) -> None:
    spread = np.nanmax(case.predictions, axis=0) - np.nanmin(case.predictions, axis=0)
    must((spread > 0).any(), "all stays have the same prediction")


@check
def _a_shift_of_all_hours_is_bounded(case: CheckCase) -> None:
    stays = case.test[:3]
    moved = replace(stays, hours=stays.hours + 1e-9)
    same(case.predict(moved), case.predict(stays), "a billionth of an hour matters", atol=1e-3)


@check
def _what_comes_later_changes_no_earlier_step(case: CheckCase) -> None:
    stays, half = _halves(case)
    cut = stays.filter_measurements(stays.hours <= half[stays.stay_of_measurement])
    whole, until = case.by_stay(stays, case.predict(stays)), case.by_stay(cut, case.predict(cut))
    for full, part in zip(whole, until, strict=True):
        same(part, full[: len(part)], "later measurements change an earlier prediction")


@check
def _absurd_values_later_change_no_earlier_step(case: CheckCase) -> None:
    stays, half = _halves(case)
    cut = stays.filter_measurements(stays.hours <= half[stays.stay_of_measurement])
    odd = with_rows(cut, {i: [(0, half[i] + 1, 1e6)] for i in range(len(cut))})
    whole, until = case.by_stay(odd, case.predict(odd)), case.by_stay(cut, case.predict(cut))
    for full, part in zip(whole, until, strict=True):
        same(full[: len(part)], part, "an absurd later value changes an earlier prediction")


@check
def _a_truncated_stay_is_predicted_as_one_that_ended_there(case: CheckCase) -> None:
    stays = case.test[:4]
    hours = float(np.median(stays.hours))
    cut = stays.truncate_at(hours)
    cut = cut[cut.n_measurements > 0]
    by_hand = cut.filter_measurements(cut.hours <= hours)
    same(case.predict(cut), case.predict(by_hand), "a truncated stay is predicted otherwise", atol=0)


def with_rows(stays: Sequences, added: Mapping[int, list[Row]]) -> Sequences:
    """Add measurements to stays.

    Parameters
    ----------
    stays : Sequences
        The stays.
    added : mapping of int to list of (int, float, float)
        By position of the stay: position of the variable, hours, value.

    Returns
    -------
    Sequences
        The stays, in order of hours.
    """
    stay = np.concatenate([stays.stay_of_measurement, [i for i, rows in added.items() for _ in rows]]).astype(int)
    new = np.array([row for rows in added.values() for row in rows], dtype=float).reshape(-1, 3)
    variable = np.concatenate([stays.variable, new[:, 0].astype(np.int16)])
    hours, value = np.concatenate([stays.hours, new[:, 1]]), np.concatenate([stays.value, new[:, 2]])
    lag = np.concatenate([stays.availability_lag, np.zeros(len(new), np.float32)])
    order = np.lexsort((hours, stay))
    return replace(
        stays,
        starts=np.searchsorted(stay[order], np.arange(len(stays) + 1)),
        variable=variable[order],
        hours=hours[order],
        value=value[order].astype(np.float32),
        availability_lag=lag[order],
    )


def _finite(case: CheckCase, rows: list[Row], what: str) -> None:
    """Raise unless a stay of these measurements has a finite prediction, next to an ordinary stay."""
    pair = case.test[[0, 1]]
    stays = with_rows(pair.filter_measurements(pair.stay_of_measurement == 1), {0: rows})
    must(_known(case, case.predict(stays)), f"{what} has no finite prediction")


def _known(case: CheckCase, table: Any) -> bool:
    """Whether predictions are finite; a forecast has none where nothing was measured before."""
    if case.train.task.task_type == "forecast":
        return not bool(np.isinf(table).any())
    return bool(np.isfinite(table).all())


def _typical(case: CheckCase, variable: int) -> float:
    values = case.train.value[case.train.variable == variable]
    return float(np.median(values)) if len(values) else 1.0


def _halves(case: CheckCase) -> tuple[Sequences, np.ndarray]:
    """Some stays of several time steps, and the middle hour of each."""
    if not case.predicts_steps:
        raise NotApplicable("one prediction for each stay")
    several = np.flatnonzero(case.test.n_steps > 4)[:6]
    stays = case.test[several]
    first = np.cumsum(stays.n_steps) - stays.n_steps
    return stays, stays.hours[stays.is_new_step][first + stays.n_steps // 2]
