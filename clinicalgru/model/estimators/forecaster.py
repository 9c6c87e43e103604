"""Forecasts of the next measurements, and how odd a measurement is given what came before it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Self

import numpy as np
import pandas as pd
import torch

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.baselines.forecast_baselines import FEWEST, measured
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.heads.forecast import MIN_LOG_SCALE, MIN_WEIGHT, Forecast, last_scores
from clinicalgru.model.network.layers import QuantileScale
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.auxiliary_losses import Auxiliary
from clinicalgru.model.training.inference import in_batches
from clinicalgru.model.training.torch_settings import threads

KINDS = ("forecast", "binary", "multiclass", "multilabel", "regression", "survival", "early_warning")
ROUNDING = 1e-5  # many values lie at the very end of an interval, since they are rounded: all of them are inside
LEAST_WIDENING = 0.5  # of a variable that hardly ever changes: else whatever is changed is the oddest of its stay
PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way from the last value to what the network says; tried on the tune stays


class GRUForecaster(GRUEstimator):
    """After each step of a stay: what each variable will show when it is next measured, and how odd a value is.

    For tasks of any kind: the measurements are the outcome, that of the task is not looked at. Forecasts are Laplace
    distributions in normal scores; those of a value beyond all that training saw lie as far from it as those of the
    outermost one that it saw. The network starts from the last value carried forward; what it says of a variable also
    comes straight from that variable's own summaries, and counts as far as the tune stays show that it pays. While it
    learns, a variable weighs the inverse root of how often it was measured again, lest the frequent ones be all that it
    learns, and steps are drawn the likelier, the more follows them (see `max_steps_per_stay`). Arguments and what is learned:
    see `GRUEstimator`; also learned: widening_ (of the spread of each variable, by `calibrate`).

    >>> GRUForecaster(max_epochs=4).max_epochs
    4
    """

    HEADS = MappingProxyType(dict.fromkeys(KINDS, Forecast))
    SPEC_OPTIONS = MappingProxyType({"by_variable": True})
    head_: Forecast

    @property
    def widening_(self) -> dict[str, float]:
        """How much wider than the network says each variable's spread is taken; 1 before `calibrate`."""
        known = self.head_.interval_scale or (1.0,) * len(self.variables_)
        return dict(zip([variable.name for variable in self.variables_], known, strict=True))

    def calibrate(self, stays: Sequences, *, coverage: float = 0.9) -> Self:
        """Widen, or narrow, the spread of each variable, so that its intervals of this coverage hold it.

        stays  new to training; a variable that they measured again fewer than FEWEST times is widened as all together

        Source: split conformal prediction by category, Vovk et al. 2005. DIFF: measurements of one stay are taken as
        exchangeable. With one number for all of them, 90 % intervals held from 84 % (platelets) to 93 % in 899 other
        stays of PhysioNet 2012 set a, of what changes at all; with one for each, 88 to 92 %.
        """
        reach, now = _reach(coverage), np.array([*self.widening_.values()])
        odd = self.anomaly_scores(stays) * now[stays.variable]
        known = ~np.isnan(odd)
        if not known.any():
            raise ArgumentError("stays of two steps or more to calibrate with", "none", "Take a longer window.")
        whole = _conformal(odd[known], coverage)
        each = [odd[known & (stays.variable == number)] for number in range(len(now))]
        held = [_conformal(own, coverage) if len(own) >= FEWEST else whole for own in each]
        self.head_ = replace(self.head_, interval_scale=tuple(max(spreads / reach, LEAST_WIDENING) for spreads in held))
        return self

    def predict(self, stays: Sequences, *, coverage: float = 0.9) -> pd.DataFrame:
        """What is expected of each variable at the step after each step of each stay.

        returns  stay (position), hours (of the step from which it is seen), variable, median, low, high (of the middle
                 `coverage`), in the variable's own unit
        """
        middle, spread, beyond = (table.ravel() for table in self._scores(stays))
        names = [variable.name for variable in self.variables_]
        steps = len(middle) // max(len(names), 1)
        number = np.tile(np.arange(len(names)), steps)
        columns = {
            name: self._values(middle + times * spread, number) + beyond for name, times in _times(_reach(coverage))
        }
        stay = np.repeat(np.arange(len(stays)), stays.n_steps)
        hours = stays.hours[stays.is_new_step]
        where = {"stay": np.repeat(stay, len(names)), "hours": np.repeat(hours, len(names))}
        return pd.DataFrame(where | {"variable": np.tile(names, steps)} | columns)

    def expected(self, stays: Sequences, *, coverage: float = 0.9) -> pd.DataFrame:
        """What was expected of each measurement at the step before it.

        returns  one row for each measurement, in the order of the stays' own: stay (position), hours (when it became
                 known), variable, value, last (the value of the variable before, NaN = none), later (whether there was
                 an earlier step), median, low, high (of the middle `coverage`), in the variable's own unit; anomaly, as
                 of `anomaly_scores`; NaN at the first step of a stay, where nothing was expected
        """
        middle, spread, beyond = self._of_each(stays)
        number = stays.variable.astype(np.int64)
        columns = {
            name: self._values(middle + times * spread, number) + beyond for name, times in _times(_reach(coverage))
        }
        return measured(stays).assign(**columns, anomaly=self._apart(stays, middle, spread))

    def anomaly_scores(self, stays: Sequences) -> np.ndarray:
        """(fact,) how many spreads each measurement lies from what was expected of it at the step before.

        NaN at the first step of a stay, where nothing was expected. Of two results that became known at one step, both
        are held against what was expected before it.
        """
        return self._apart(stays, *self._of_each(stays)[:2])

    @torch.no_grad()
    def _apart(self, stays: Sequences, middle: np.ndarray, spread: np.ndarray) -> np.ndarray:
        number = torch.from_numpy(stays.variable.astype(np.int64))
        score = self.head_.scaler.at(torch.from_numpy(stays.value), number).numpy()
        return np.asarray(np.abs(score - middle) / spread)

    def _of_each(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """(fact,) what `_scores` says of each measurement at the step before; NaN at a stay's first step."""
        tables, step = self._scores(stays), np.cumsum(stays.is_new_step) - 1
        first = np.zeros(len(tables[0]), dtype=bool)
        first[(np.cumsum(stays.n_steps) - stays.n_steps)[stays.n_steps > 0]] = True
        before = np.maximum(step - 1, 0)
        known = np.where(first[step], np.nan, 1.0)
        return tuple(table[before, stays.variable] * known for table in tables)

    def _network(self, stays: Sequences, auxiliary: Auxiliary | None) -> ClinicalGRU:
        """A network that says: what was last measured, and as far around it as values change in these stays.

        It goes on to say so of variables that these stays measured again fewer than FEWEST times.
        """
        network = super()._network(stays, auxiliary)
        change, count = _changes(stays, network.scales.value), 2 * len(stays.variables)
        self.head_ = Forecast(network.scales.value, _weights(change["count"].to_numpy()))
        spread = torch.tensor(change["mean"].fillna(1.0).to_numpy()).clamp_min(math.exp(MIN_LOG_SCALE))
        with torch.no_grad():
            network.readout.last[..., :count] = 0
            network.readout.bias[..., :count] = torch.cat([torch.zeros(count // 2), spread.log()])
        return network

    def _trained(self, network: ClinicalGRU, tune: Sequences) -> ClinicalGRU:
        """A network that leaves the last value of each variable as far as pays in the tune stays: all the way, or less.

        What it says of a variable is linear in the weights of that output, which shrink by as much.
        """
        self.network_ = super()._trained(network, tune)
        tune = self._checked(tune)
        left, parts = self._left(tune), torch.zeros(len(tune.variables))
        errors = [(left["came"] - part * left["change"]).abs().groupby(left["variable"]).sum() for part in PARTS]
        best = np.argmin(np.stack(errors), axis=0)
        parts[errors[0].index.tolist()] = torch.tensor(PARTS)[torch.from_numpy(best)]
        with torch.no_grad():
            for weight in (self.network_.readout.last, self.network_.readout.bias):
                weight[..., : len(parts)].mul_(parts)
            if self.network_.by_variable is not None:
                self.network_.by_variable.weight[..., 0].mul_(parts[:, None])
        return self.network_

    def _left(self, stays: Sequences) -> pd.DataFrame:
        """variable (position), came and change: how far measurements lay from their last score, and were said to."""
        known, number = measured(stays), stays.variable.astype(np.int64)
        last, value = _scored(known, number, self.head_.scaler)
        last = np.nan_to_num(last)
        columns = {"variable": number, "came": value - last, "change": self._of_each(stays)[0] - last}
        return pd.DataFrame(columns)[known["later"].to_numpy()]

    @torch.no_grad()
    def _scores(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """(step, variable) expected score after each step, stay after stay; its spread; and how far the value last seen
        lies beyond all that training saw, in its own unit, 0 where it does not."""
        stays = self._checked(stays)
        network, head, steps = self.network_.eval(), self.head_, int(stays.n_steps.sum())
        middle, spread, beyond = (np.zeros((steps, len(self.variables_))) for _ in range(3))
        low, high = head.scaler.knots[:, 0], head.scaler.knots[:, -1]
        with threads(self.n_threads):
            for _, batch, where in in_batches(network, stays, head=head):
                change, apart = head.predict(head.aggregate_members(network(batch))).unbind(dim=1)
                last = torch.cat([batch.value, batch.value.new_full((1,), torch.nan)])[batch.carried[batch.point_row]]
                middle[where] = (last_scores(head.scaler, batch)[batch.point_row] + change).numpy()
                spread[where] = apart.numpy()
                beyond[where] = (last - last.clamp(low, high)).nan_to_num().numpy()
        return middle, spread, beyond

    def _values(self, scores: np.ndarray, number: np.ndarray) -> np.ndarray:
        """(any,) normal scores, and the variable of each -> values in their own unit."""
        knots, known = self.head_.scaler.knots.numpy(), self.head_.scaler.scores.numpy()
        values = np.full(len(scores), np.nan)
        for i in range(len(knots)):
            values[number == i] = np.interp(scores[number == i], known[i], knots[i])
        return values

    @property
    def score_columns_(self) -> list[str]:
        """The column that `score` writes of each stay."""
        return ["anomaly"]

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """(stay, 1) what `score` writes of each stay: how odd the oddest of its measurements is, in spreads."""
        odd = pd.Series(self.anomaly_scores(stays)).groupby(stays.stay_of_measurement).max()
        return odd.reindex(range(len(stays))).to_numpy()[:, None]


def _weights(count: np.ndarray) -> tuple[float, ...]:
    """What each variable weighs: the inverse root of how often it was measured again; 0 of fewer than FEWEST times."""
    weight = np.where(count >= FEWEST, 1 / np.sqrt(np.maximum(count, 1)), 0.0)
    return tuple((weight / max(weight.max(), MIN_WEIGHT)).tolist())


def _changes(stays: Sequences, scale: QuantileScale) -> pd.DataFrame:
    """By position of the variable: mean distance between scores of one measurement and the next, and count of them."""
    last, value = _scored(measured(stays), stays.variable.astype(np.int64), scale)
    change = pd.Series(np.abs(value - last)).groupby(stays.variable).agg(["mean", "count"])
    return change.reindex(range(len(stays.variables))).fillna({"count": 0})


@torch.no_grad()
def _scored(known: pd.DataFrame, number: np.ndarray, scale: QuantileScale) -> tuple[np.ndarray, np.ndarray]:
    """(fact,) normal scores of the last values, NaN where there was none, and of the measurements."""
    variable = torch.from_numpy(number)
    last, value = (scale.at(torch.tensor(known[name].to_numpy()), variable).numpy() for name in ("last", "value"))
    return last, value


def _reach(coverage: float) -> float:
    """Spreads to each side of the middle that hold this part of a Laplace distribution."""
    if not 0 < coverage < 1:
        raise ArgumentError("a coverage between 0 and 1", f"{coverage}", "Write coverage=0.9.")
    return -math.log1p(-coverage)


def _conformal(odd: np.ndarray, coverage: float) -> float:
    """How many spreads hold this part of what is to come, if it is exchangeable with what came."""
    rank = min(1.0, math.ceil((len(odd) + 1) * coverage) / len(odd))
    return float(np.quantile(odd, rank, method="inverted_cdf")) * (1 + ROUNDING)


def _times(reach: float) -> tuple[tuple[str, float], ...]:
    return (("median", 0.0), ("low", -reach), ("high", reach))
