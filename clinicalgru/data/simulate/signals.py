"""Vital signs and laboratory values of the synthetic cohort: units, loadings on the states, noise and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Signal:
    """A vital sign or laboratory value: `center` plus loadings on the states, on a scale of its own.

    Attributes
    ----------
    unit : str
        Unit as recorded, in a spelling of the bedside.
    center : float
        Level of a usual patient.
    loadings : mapping of str to float
        Loadings on the states.
    between_sd, noise_sd : float
        Standard deviation between patients, and between measurements.
    low, high : float
        Physiological limits.
    digits : int
        Decimal places as recorded.
    transform : str
        "linear": the value itself; "log": its logarithm; "below", "above": the logarithm of its distance to `limit`.
    limit : float
        Limit of the value.
    shared_noise : float
        Correlation of the noise among signals that are measured together, such as pressures.
    ever_measured : float
        Probability that it is ever measured in a stay of usual severity.
    in_panel : float
        Probability that a measurement of its panel includes it.
    """

    unit: str
    center: float
    loadings: Mapping[str, float]
    between_sd: float
    noise_sd: float
    low: float
    high: float
    digits: int
    transform: str = "linear"
    limit: float = 0.0
    shared_noise: float = 0.3
    ever_measured: float = 1.0
    in_panel: float = 0.95

    def value(self, level: Floats) -> Floats:
        """Convert a level on the scale of the signal into a value.

        Parameters
        ----------
        level : ndarray
            Levels.

        Returns
        -------
        ndarray
            Values in `unit`.
        """
        if self.transform == "linear":
            return np.clip(level, self.low, self.high)
        distance = np.exp(np.minimum(level, 12.0))
        return np.clip(self.limit + (-distance if self.transform == "below" else distance), self.low, self.high)


def _log(unit: str, typical: float, loadings: Mapping[str, float], between_sd: float, noise_sd: float, low: float,
         high: float, digits: int, ever_measured: float = 0.98) -> Signal:  # fmt: skip
    """A laboratory value with proportional variation around `typical`."""
    center = float(np.log(typical))
    return Signal(
        unit, center, loadings, between_sd, noise_sd, low, high, digits, transform="log", ever_measured=ever_measured
    )


SIGNALS: Mapping[str, Signal] = {
    "heart_rate": Signal("bpm", 84, {"circulation": 7, "infection": 5, "lung": 2, "vasopressor": 4, "fluids": -3,
                                     "sedation": -5, "day": 2}, 9, 3.5, 32, 210, 0),
    "respiratory_rate": Signal("/min", 18, {"lung": 2.6, "infection": 1.4, "sedation": -3}, 1.8, 1.6, 7, 58, 0),
    "spo2": Signal("%", 1.0, {"lung": 0.45, "airway": 0.25, "sedation": -0.3}, 0.2, 0.25, 60, 100, 0, "below", 100),
    "sbp": Signal("mmHg", 121, {"circulation": -13, "infection": -4, "tension": 13, "vasopressor": 13,
                               "fluids": 5, "sedation": -5, "day": 3}, 5, 6, 42, 238, 0, shared_noise=0.95),
    "map": Signal("mmHg", 83, {"circulation": -9, "infection": -3, "tension": 8, "vasopressor": 9, "fluids": 3.5,
                              "sedation": -3.5, "day": 2}, 2, 4, 28, 165, 0, shared_noise=0.95),
    "dbp": Signal("mmHg", 64, {"circulation": -7, "infection": -2.5, "tension": 5, "vasopressor": 7,
                              "fluids": 3, "sedation": -3, "day": 2}, 2, 3, 18, 130, 0, shared_noise=0.95),
    "temperature": Signal("°C", 36.8, {"infection": 0.45, "circulation": -0.1, "day": 0.2}, 0.25, 0.15, 33.5, 41.5, 1,
                          in_panel=0.3),
    "gcs": Signal("1", -0.6, {"brain": 1.0, "sedation": 1.3}, 0.3, 0.2, 3, 15, 0, "below", 15, in_panel=0.25),
    "urine_output": _log("mL", 75, {"kidney": -0.5, "circulation": -0.25, "fluids": 0.2}, 0.25, 0.45, 0, 900, 0, 0.9),
    "ph": Signal("[pH]", 7.395, {"circulation": -0.025, "kidney": -0.02, "airway": -0.01}, 0.015, 0.015, 6.9, 7.65, 2,
                 ever_measured=0.7),
    "paco2": _log("mmHg", 39, {"airway": 0.08, "lung": 0.04, "infection": -0.03}, 0.06, 0.05, 16, 120, 0, 0.7),
    "pao2": _log("mmHg", 98, {"lung": -0.13, "airway": -0.05, "sedation": 0.15}, 0.1, 0.14, 38, 420, 0, 0.7),
    "fio2": Signal("1", -1.9, {"lung": 0.55, "sedation": 0.3}, 0.2, 0.1, 0.21, 1.0, 2, "above", 0.21,
                   ever_measured=0.7),
    "lactate": _log("mmol/L", 1.3, {"circulation": 0.4, "infection": 0.12, "kidney": 0.06}, 0.15, 0.08, 0.3, 28, 1,
                    ever_measured=0.8),
    "creatinine": _log("mg/dL", 0.95, {"kidney_past": 0.45, "muscle": 0.15, "nephrons": 0.2}, 0.05, 0.04, 0.25, 16, 2),
    "bun": _log("mg/dL", 18, {"kidney_past": 0.38, "nephrons": 0.15, "infection_past": 0.08}, 0.15, 0.05, 3, 210, 0),
    "sodium": Signal("mmol/L", 138.5, {"kidney": -0.5, "infection": -0.5, "fluids": 0.8}, 3, 1, 114, 168, 0),
    "potassium": Signal("mmol/L", 4.1, {"kidney": 0.22, "circulation": 0.06, "insulin": -0.2}, 0.25, 0.15, 2.2, 7.8, 1),
    "bicarbonate": Signal("mmol/L", 24, {"circulation": -1.4, "kidney": -1.1, "airway": 1}, 1.5, 0.8, 6, 44, 0),
    "glucose": _log("mg/dL", 128, {"sugar": 0.26, "infection": 0.12, "insulin": -0.25}, 0.1, 0.12, 42, 700, 0),
    "bilirubin_total": _log("mg/dL", 0.75, {"infection_past": 0.35}, 0.4, 0.06, 0.1, 28, 1, 0.45),
    "hemoglobin": Signal("g/dL", 10.8, {"blood": -1.2, "kidney": -0.2, "fluids": -0.4}, 0.8, 0.25, 4.2, 19, 1),
    "wbc": _log("K/uL", 10.2, {"infection_past": 0.3, "circulation": 0.04}, 0.2, 0.08, 0.5, 75, 1),
    "platelets": _log("K/uL", 205, {"infection_past": -0.15, "circulation_past": -0.07}, 0.3, 0.06, 8, 950, 0),
}  # fmt: skip
