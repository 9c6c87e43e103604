"""GRUForecaster: the next value of each variable, and anomaly scores of measurements."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Self

import numpy as np
import pandas as pd
import torch

from clinicalgru.checks import check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.model.baselines.forecast_baselines import FEWEST, measured
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.heads.forecast import MIN_LOG_SCALE, MIN_WEIGHT, Forecast
from clinicalgru.model.network.layers import QuantileScaler
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.auxiliary_losses import AuxiliaryTargets
from clinicalgru.model.training.inference import iterate_batches
from clinicalgru.model.training.torch_settings import threads, torch_defaults

TASK_TYPES = ("forecast", "binary", "multiclass", "multilabel", "regression", "survival", "early_warning")
TOLERANCE = 1e-5  # recorded values are rounded, and many lie exactly at the end of an interval: they count as inside
MIN_INTERVAL_SCALE = 0.5  # of variables that hardly change: their changes would otherwise have the highest scores
SHORTCUT_SCALES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the predicted change; chosen on the validation stays


class GRUForecaster(GRUEstimator):
    """Forecast, after each time step of a stay, of the next measurement of each variable; anomaly scores.

    For tasks of any type: the measurements are the outcome, and that of the task is not used. Parameters and further
    attributes: see `GRUEstimator`.

    Attributes
    ----------
    interval_scale_ : dict
        Factor of the scale of each variable, by name, set by `calibrate`; 1 before.

    Notes
    -----
    A forecast is a Laplace distribution in normal scores (a rank-based inverse normal transform). A value beyond the
    range of the training values is forecast as far from its last value as the outermost training value.

    The network starts from the last value carried forward. Each variable has a linear shortcut from its own summaries;
    the predicted change is scaled per variable (0 to 1) to minimise the validation error.

    In training each variable is weighted by the inverse square root of the number of its repeated measurements, so that
    frequent variables do not dominate. Time steps are sampled by what is measured next, see `max_steps_per_stay`.

    Examples
    --------
    >>> from clinicalgru import GRUForecaster
    >>> GRUForecaster(max_epochs=4)
    GRUForecaster(max_epochs=4)
    """

    evaluated_as = "forecast"
    HEADS = MappingProxyType(dict.fromkeys(TASK_TYPES, Forecast))
    SPEC_OPTIONS = MappingProxyType({"by_variable": True})
    calibration_unit = "measurement"
    head_: Forecast

    @property
    def interval_scale_(self) -> dict[str, float]:
        """Factor of the scale of each variable, by name; 1 before `calibrate`."""
        scales = self.head_.interval_scale or (1.0,) * len(self.variables_)
        return dict(zip([variable.name for variable in self.variables_], scales, strict=True))

    def calibrate(self, stays: Sequences, *, coverage: float = 0.9) -> Self:
        """Scale the intervals of each variable so that they cover a fraction of its measurements.

        Parameters
        ----------
        stays : Sequences
            Stays of other patients than the training and validation stays. A variable with few repeated measurements
            has the scale of all variables together.
        coverage : float
            Fraction of measurements that an interval should cover, between 0 and 1.

        Returns
        -------
        GRUForecaster
            The estimator itself.

        Raises
        ------
        ArgumentError
            If no stay has two time steps, or the coverage is out of range.
        TrainingError
            If training or early stopping saw the patient of any stay.

        Notes
        -----
        Deviation from the paper: measurements of one stay are treated as exchangeable.

        References
        ----------
        Split conformal prediction by category: Vovk et al. 2005.
        """
        _laplace_quantile(coverage)
        self._calibrate_on(self._calibration_scores(self._unseen(stays)), coverage=coverage)
        self._record_calibration(stays)
        return self

    def _calibration_scores(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """Give distance and variable of each measurement, the distance in scales without calibration; NaN: unknown."""
        number = stays.variable.astype(np.int64)
        return self.anomaly_scores(stays) * np.array([*self.interval_scale_.values()])[number], number

    def _calibrate_on(self, scores: tuple[np.ndarray, ...], coverage: float = 0.9) -> None:
        """Scale the intervals of each variable."""
        quantile, (distance, variable) = _laplace_quantile(coverage), scores
        known = ~np.isnan(distance)
        if not known.any():
            fix = "Use a task with a longer window."
            raise ArgumentError("stays of two time steps or more", "stays with at most one", fix)
        overall = _conformal(distance[known], coverage)
        by_variable = [distance[known & (variable == number)] for number in range(len(self.variables_))]
        widths = [_conformal(own, coverage) if len(own) >= FEWEST else overall for own in by_variable]
        scale = tuple(max(width / quantile, MIN_INTERVAL_SCALE) for width in widths)
        self.head_ = replace(self.head_, interval_scale=scale)

    def predict(self, stays: Sequences, *, coverage: float = 0.9) -> pd.DataFrame:
        """Forecast each variable at the time step after each time step of each stay.

        Parameters
        ----------
        stays : Sequences
            Stays with the variables of the training stays.
        coverage : float
            Coverage of the interval, between 0 and 1.

        Returns
        -------
        DataFrame
            One row for each time step and variable: stay (position), hours (of the time step from which the forecast
            is made), variable, median, low, high, in the unit of the variable.

        Raises
        ------
        ArgumentError
            If the coverage is out of range.
        """
        quantile = _laplace_quantile(coverage)
        median, scale, excess = (table.ravel() for table in self._scores(stays))
        names = [variable.name for variable in self.variables_]
        number = np.tile(np.arange(len(names)), len(median) // max(len(names), 1))
        stay = np.repeat(np.arange(len(stays)), stays.n_steps)
        hours = stays.hours[stays.is_new_step]
        rows = {"stay": np.repeat(stay, len(names)), "hours": np.repeat(hours, len(names))}
        rows["variable"] = np.array(names, dtype=object)[number]
        return pd.DataFrame(rows | self._interval(median, scale, excess, number, quantile))

    def expected(self, stays: Sequences, *, coverage: float = 0.9) -> pd.DataFrame:
        """Forecast each measurement from the time step before it.

        Parameters
        ----------
        stays : Sequences
            As for `predict`.
        coverage : float
            Coverage of the interval, between 0 and 1.

        Returns
        -------
        DataFrame
            One row for each measurement, in order: stay (position), hours (when it became known), variable, value,
            last (the value before, NaN if there is none), later (whether there was an earlier time step), median, low,
            high, in the unit of the variable; anomaly, see `anomaly_scores`. NaN at the first time step of a stay.

        Raises
        ------
        ArgumentError
            If the coverage is out of range.
        """
        quantile = _laplace_quantile(coverage)
        median, scale, excess = self._at_previous_step(stays)
        columns = self._interval(median, scale, excess, stays.variable.astype(np.int64), quantile)
        return measured(stays).assign(**columns, anomaly=self._distance(stays, median, scale, excess))

    def anomaly_scores(self, stays: Sequences) -> np.ndarray:
        """Distance of each measurement from its forecast at the time step before, in units of the Laplace scale.

        Parameters
        ----------
        stays : Sequences
            As for `predict`.

        Returns
        -------
        ndarray, shape (measurement,)
            0 or more; NaN at the first time step of a stay. Results that became known at the same time step are both
            compared with the forecast before it.
        """
        return self._distance(stays, *self._at_previous_step(stays))

    def _interval(
        self, median: np.ndarray, scale: np.ndarray, excess: np.ndarray, number: np.ndarray, quantile: float
    ) -> dict[str, np.ndarray]:
        """Give median, low and high in the unit of each variable, from normal scores."""
        offsets = {"median": 0.0, "low": -quantile, "high": quantile}
        return {name: self._values(median + offset * scale, number) + excess for name, offset in offsets.items()}

    @torch_defaults(grad=False)
    def _distance(
        self, stays: Sequences, median: np.ndarray, scale: np.ndarray, excess: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Give the distance of each measurement from its forecast, in scales; the inverse of `_interval`."""
        number, scaler = stays.variable.astype(np.int64), self.head_.scaler
        value = (stays.value - np.nan_to_num(excess)).astype(np.float32)
        score = scaler.at(torch.from_numpy(value), torch.from_numpy(number)).double().numpy()
        knots, known = scaler.knots.numpy(), scaler.scores.numpy()
        slope = np.array([_outer_slope(*of) for of in zip(knots, known, strict=True)])[number]
        beyond = value - value.clip(knots[number, 0], knots[number, -1])
        score += np.divide(beyond, slope, out=np.zeros_like(score), where=slope > 0)
        return np.asarray(np.abs(score - median) / scale)

    def _at_previous_step(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """Give what `_scores` predicts of each measurement at the time step before; NaN at the first one of a stay."""
        tables, step = self._scores(stays), np.cumsum(stays.is_new_step) - 1
        first = np.zeros(len(tables[0]), dtype=bool)
        first[(np.cumsum(stays.n_steps) - stays.n_steps)[stays.n_steps > 0]] = True
        before = np.maximum(step - 1, 0)
        known = np.where(first[step], np.nan, 1.0)
        return tuple(table[before, stays.variable] * known for table in tables)

    def _network(self, stays: Sequences, auxiliary: AuxiliaryTargets | None) -> ClinicalGRU:
        """Give an untrained network that predicts the last value, and the mean absolute change as its scale.

        It keeps this prediction for variables with fewer than FEWEST repeated measurements.
        """
        network = super()._network(stays, auxiliary)
        change, n_variables = _changes(stays, network.scaler.value), len(stays.variables)
        self.head_ = Forecast(network.scaler.value, _weights(change["count"].to_numpy()))
        scale = torch.tensor(change["mean"].fillna(1.0).to_numpy()).clamp_min(math.exp(MIN_LOG_SCALE))
        with torch.no_grad():
            for _, readout, _ in network.readout.parts():
                readout.last[..., : 2 * n_variables] = 0
                readout.bias[..., : 2 * n_variables] = torch.cat([torch.zeros_like(scale), scale.log()])
        return network

    def _trained(self, network: ClinicalGRU, validation: Sequences) -> ClinicalGRU:
        """Scale the predicted change of each variable to minimise the absolute error of the validation stays.

        The prediction is linear in the weights of its output, which are scaled.
        """
        self.network_ = super()._trained(network, validation)
        residuals = self._residuals(self._checked(validation))
        scale = torch.zeros(len(validation.variables), dtype=torch.float32)
        errors = [
            (residuals["observed"] - factor * residuals["predicted"]).abs().groupby(residuals["variable"]).sum()
            for factor in SHORTCUT_SCALES
        ]
        best = np.argmin(np.stack(errors), axis=0)
        factors = torch.tensor(SHORTCUT_SCALES, dtype=torch.float32)
        scale[errors[0].index.tolist()] = factors[torch.from_numpy(best)]
        with torch.no_grad():
            for _, readout, _ in self.network_.readout.parts():
                for weight in (readout.last, readout.bias):
                    weight[..., : len(scale)].mul_(scale)
            if self.network_.by_variable is not None:
                self.network_.by_variable.weight[..., 0].mul_(scale[:, None])
        return self.network_

    def _residuals(self, stays: Sequences) -> pd.DataFrame:
        """Give variable (position), and its observed and predicted change since the last value, in normal scores."""
        known, number = measured(stays), stays.variable.astype(np.int64)
        last, value = _normal_scores(known, number, self.head_.scaler)
        last = np.nan_to_num(last)
        predicted = self._at_previous_step(stays)[0] - last
        columns = {"variable": number, "observed": value - last, "predicted": predicted}
        return pd.DataFrame(columns)[known["later"].to_numpy()]

    @torch_defaults(grad=False)
    def _scores(self, stays: Sequences) -> tuple[np.ndarray, ...]:
        """Give median and scale of each forecast, in normal scores, and the excess of the last value; (step, variable).

        The excess is how far the last value lies beyond the range of the training values, in its own unit; else 0.
        """
        change, scale, last = self._outputs(stays)
        number = torch.arange(last.shape[1]).expand(last.shape)
        score = self.head_.scaler.at(last.contiguous(), number.contiguous()).nan_to_num()
        low, high = self.head_.scaler.knots[:, 0], self.head_.scaler.knots[:, -1]
        excess = (last - last.clamp(low, high)).nan_to_num()
        return (score + change).numpy(), scale.numpy(), excess.double().numpy()

    @torch_defaults(grad=False)
    def _outputs(self, stays: Sequences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give change since the last value and its scale, in normal scores, and the last value (NaN: none)."""
        stays = self._checked(stays)
        network, head, shape = (
            self._network_on_device().eval(),
            self.head_,
            (int(stays.n_steps.sum()), len(self.variables_)),
        )
        change, scale = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
        last = torch.zeros(shape, dtype=torch.float32)
        with threads(int(self.n_threads)):
            for _, batch, where in iterate_batches(network, stays, head=head):
                change[where], scale[where] = head.predict(head.aggregate_members(network(batch))).unbind(dim=1)
                padded = torch.cat([batch.value, batch.value.new_full((1,), torch.nan)])
                last[where] = padded[batch.locf_index[batch.point_row]]
        return change, scale, last

    def _values(self, scores: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Give normal scores of variables, by position, as values in their units."""
        knots, known = self.head_.scaler.knots.numpy(), self.head_.scaler.scores.numpy()
        values = np.full(len(scores), np.nan)
        for i in range(len(knots)):
            here = scores[number == i]
            beyond = here - here.clip(known[i, 0], known[i, -1])
            values[number == i] = np.interp(here, known[i], knots[i]) + beyond * _outer_slope(knots[i], known[i])
        return values

    def score_rows(self, stays: Sequences) -> np.ndarray:
        """Give the highest anomaly score of the measurements of each stay, in units of the Laplace scale."""
        highest = pd.Series(self.anomaly_scores(stays)).groupby(stays.stay_of_measurement).max()
        return highest.reindex(range(len(stays))).to_numpy()[:, None]


def _outer_slope(knots: np.ndarray, scores: np.ndarray) -> float:
    """Give the change of the value for each normal score over the whole range; 0 where nothing was learned."""
    width = float(scores[-1] - scores[0])
    return float(knots[-1] - knots[0]) / width if width > 0 else 0.0


def _weights(count: np.ndarray) -> tuple[float, ...]:
    """Give the weight of each variable: count^-1/2 of its repeated measurements; 0 for fewer than FEWEST of them."""
    weight = np.where(count >= FEWEST, 1 / np.sqrt(np.maximum(count, 1)), 0.0)
    return tuple((weight / max(weight.max(), MIN_WEIGHT)).tolist())


def _changes(stays: Sequences, scaler: QuantileScaler) -> pd.DataFrame:
    """Give mean and count of absolute changes between measurements, in normal scores, by position of the variable."""
    last, value = _normal_scores(measured(stays), stays.variable.astype(np.int64), scaler)
    change = pd.Series(np.abs(value - last)).groupby(stays.variable).agg(["mean", "count"])
    return change.reindex(range(len(stays.variables))).fillna({"count": 0})


@torch.no_grad()
def _normal_scores(known: pd.DataFrame, number: np.ndarray, scaler: QuantileScaler) -> tuple[np.ndarray, np.ndarray]:
    """Give normal scores of the last value before each measurement (NaN: none), and of the measurement."""
    variable = torch.from_numpy(number)
    last, value = (scaler.at(torch.tensor(known[name].to_numpy()), variable).numpy() for name in ("last", "value"))
    return last, value


def _laplace_quantile(coverage: float) -> float:
    """Give the half-width of the central interval of a Laplace distribution, in scales."""
    check_number("coverage", coverage, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    return -math.log1p(-coverage)


def _conformal(scores: np.ndarray, coverage: float) -> float:
    """Give the half-width, in scales, that covers a fraction of exchangeable measurements."""
    rank = min(1.0, math.ceil((len(scores) + 1) * coverage) / len(scores))
    return float(np.quantile(scores, rank, method="inverted_cdf")) * (1 + TOLERANCE)
