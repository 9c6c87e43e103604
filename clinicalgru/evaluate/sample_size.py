"""How many stays the development or the validation of a model of a binary outcome needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit, ndtri

from clinicalgru.checks import check_choice, check_number
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.bootstrap import MIN_EVENTS

Z = 1.96  # as the papers have it
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
MOST = 10**9


@dataclass(frozen=True, eq=False)
class SampleSize:
    """A required sample size.

    Attributes
    ----------
    purpose : str
        "development" or "validation".
    stays, events : int
        Smallest number of stays, and of stays with the event, that fulfil all criteria.
    criteria : DataFrame
        criterion, stays, events.
    """

    purpose: str
    stays: int
    events: int
    criteria: pd.DataFrame

    def __str__(self) -> str:
        needed = f"{self.purpose.capitalize()} needs {self.stays:,} stays, {self.events:,} of them with the event."
        return f"{needed}\n\n{self.criteria.to_string(index=False)}"

    __repr__ = __str__


def sample_size(
    purpose: str = "validation",
    *,
    prevalence: float,
    c_statistic: float | None = None,
    n_parameters: int | None = None,
    r_squared: float | None = None,
    shrinkage: float = 0.9,
    log_odds: tuple[float, float] | None = None,
    oe_width: float = 0.2,
    slope_width: float = 0.2,
    c_width: float = 0.1,
) -> SampleSize:
    """Compute how many stays are needed to develop or to validate a model of a binary outcome.

    Parameters
    ----------
    purpose : {"validation", "development"}
        What the stays are for.
    prevalence : float
        Expected fraction of stays with the event.
    c_statistic : float, optional
        Expected AUROC. Development takes it or `r_squared`.
    n_parameters : int, optional
        Number of parameters that a regression model would estimate; for a development. Flexible models such as
        networks need more.
    r_squared : float, optional
        Expected R² of Cox and Snell; for a development.
    shrinkage : float
        Expected calibration slope of the developed model in new patients.
    log_odds : tuple of float, optional
        Mean and standard deviation of the log-odds of the risk, for a validation; normally distributed. None: normal
        among stays with and without the event, as AUROC and prevalence say.
    oe_width, slope_width, c_width : float
        Widths of the 95 % intervals of observed : expected, the calibration slope and the AUROC that a validation aims
        at.

    Returns
    -------
    SampleSize
        Print it.

    Raises
    ------
    ArgumentError
        If a number is missing or out of range.

    Notes
    -----
    Development: the expected shrinkage; a difference of at most 0.05 between apparent and adjusted R² of Nagelkerke;
    the overall risk within 0.05. Where the criteria ask for fewer than 20 stays with, or without, the event, of which
    `evaluate` gives no interval, 20 are a criterion of their own. Without `r_squared`, it follows from AUROC and
    prevalence where log-odds are normal with one variance among stays with and without the event.

    References
    ----------
    Riley et al. 2019, Stat Med 38:1276-1296, and 2020, BMJ 368:m441, development. Riley et al. 2021, Stat Med
    40:133-146, R² from the C statistic. Riley et al. 2021, Stat Med 40:4230-4251, validation. Newcombe 2006, Stat Med
    25:559-573, standard error of the C statistic.

    Examples
    --------
    >>> sample_size("development", prevalence=0.174, r_squared=0.288, n_parameters=24).stays
    662
    >>> sample_size(prevalence=0.018, c_statistic=0.8, log_odds=(-5, 2.5), oe_width=1).criteria["stays"].tolist()
    [906, 4554, 4252]
    """
    check_choice("purpose", purpose, ("validation", "development"))
    check_number("prevalence", prevalence, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    bounds = {"minimum": 0.5, "maximum": 1, "open_minimum": True, "open_maximum": True}
    check_number("c_statistic", c_statistic, **bounds, optional=True)  # type: ignore[arg-type]
    if purpose == "development":
        stays = _development(prevalence, c_statistic, n_parameters, r_squared, shrinkage)
    else:
        for name, width in {"oe_width": oe_width, "slope_width": slope_width, "c_width": c_width}.items():
            check_number(name, width, minimum=0, open_minimum=True)
        _check_log_odds(log_odds)
        if c_statistic is None:
            raise ArgumentError("c_statistic, the expected AUROC", "none", "Pass that of an earlier study.")
        stays = {
            f"observed : expected, interval of width {oe_width:g}": _oe(prevalence, oe_width),
            f"calibration slope, interval of width {slope_width:g}": _slope(
                prevalence, c_statistic, log_odds, slope_width
            ),
            f"AUROC, interval of width {c_width:g}": _c(prevalence, c_statistic, c_width),
        }
    least = math.ceil(MIN_EVENTS / min(prevalence, 1 - prevalence))
    if max(stays.values()) < least:
        stays[f"{MIN_EVENTS} stays with, and {MIN_EVENTS} without, the event"] = least
    criteria = pd.DataFrame({"criterion": [*stays], "stays": [math.ceil(round(n, 6)) for n in stays.values()]})
    criteria["events"] = np.ceil((criteria["stays"] * prevalence).round(6)).astype(int)
    return SampleSize(purpose, int(criteria["stays"].max()), int(criteria["events"].max()), criteria)


def events_for_auroc(c_statistic: float, prevalence: float, *, width: float = 0.1) -> int:
    """Compute how many events make the 95 % interval of the AUROC no wider than `width`.

    Parameters
    ----------
    c_statistic, prevalence : float
        Expected AUROC and fraction of stays with the event.
    width : float
        Width of the interval.

    Returns
    -------
    int
        Number of stays with the event.

    Examples
    --------
    >>> events_for_auroc(0.8, 0.1)
    84
    """
    return math.ceil(_c(prevalence, c_statistic, width) * prevalence)


def cox_snell_r_squared(c_statistic: float, prevalence: float) -> float:
    """Approximate the R² of Cox and Snell from AUROC and prevalence.

    Parameters
    ----------
    c_statistic, prevalence : float
        Expected AUROC and fraction of stays with the event.

    Returns
    -------
    float
        For log-odds that are normal, with one variance, among stays with and without the event.

    References
    ----------
    Riley et al. 2021, Stat Med 40:133-146.

    Examples
    --------
    >>> round(cox_snell_r_squared(0.75, 0.15), 3)
    0.103
    """
    score, weight = _log_odds(c_statistic, prevalence)
    risk = np.clip(expit(score), 1e-300, 1 - 1e-16)
    gain = weight @ (risk * np.log(risk) + (1 - risk) * np.log1p(-risk)) - _null(prevalence)
    return float(1 - math.exp(-2 * gain))


def _development(
    prevalence: float, c_statistic: float | None, n_parameters: int | None, r_squared: float | None, shrinkage: float
) -> dict[str, float]:
    """Stays by criterion of a development."""
    check_number("n_parameters", n_parameters, minimum=1, whole=True)
    check_number("shrinkage", shrinkage, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    highest = 1 - math.exp(2 * _null(prevalence))
    if r_squared is None and c_statistic is not None:
        r_squared = cox_snell_r_squared(c_statistic, prevalence)
    if r_squared is None:
        raise ArgumentError("r_squared or c_statistic", "neither", "Pass that of an earlier study.")
    check_number("r_squared", r_squared, minimum=0, maximum=highest, open_minimum=True, open_maximum=True)
    optimism = r_squared / (r_squared + 0.05 * highest)

    def of(factor: float) -> float:
        return float(n_parameters or 1) / ((factor - 1) * math.log(1 - r_squared / factor))

    if r_squared >= min(shrinkage, optimism):
        raise ArgumentError(f"r_squared below {min(shrinkage, optimism):.3f}", f"{r_squared:.3f}", "Lower it.")
    return {
        f"shrinkage of {shrinkage:g}": of(shrinkage),
        "optimism of R² of 0.05 at most": of(optimism),
        "overall risk within 0.05": (Z / 0.05) ** 2 * prevalence * (1 - prevalence),
    }


def _null(prevalence: float) -> float:
    """Mean log-likelihood of the prevalence as the risk of all."""
    return prevalence * math.log(prevalence) + (1 - prevalence) * math.log(1 - prevalence)


def _log_odds(c_statistic: float, prevalence: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of calibrated risks and their weights: normal among stays with, and among stays without, the event."""
    variance = 2 * float(ndtri(c_statistic)) ** 2
    without = math.log(prevalence / (1 - prevalence)) - variance / 2 + math.sqrt(variance) * NODES
    share = WEIGHTS / WEIGHTS.sum()
    both = np.concatenate([(1 - prevalence) * share, prevalence * share])
    return np.concatenate([without, without + variance]), both


def _check_log_odds(log_odds: object) -> None:
    if log_odds is None:
        return
    if not isinstance(log_odds, tuple | list) or len(log_odds) != 2:
        raise ArgumentError("log_odds as mean and standard deviation", describe(log_odds), "Pass (-2.0, 1.2).")
    check_number("mean of log_odds", log_odds[0])
    check_number("standard deviation of log_odds", log_odds[1], minimum=0, open_minimum=True)


def _oe(prevalence: float, width: float) -> float:
    error = math.asinh(width / 2) / Z  # exp(Z error) - exp(-Z error) is the width where the ratio is 1
    return (1 - prevalence) / prevalence / error**2


def _slope(prevalence: float, c_statistic: float, log_odds: tuple[float, float] | None, width: float) -> float:
    """Stays from the information on intercept and slope of a calibrated model."""
    score, weight = _log_odds(c_statistic, prevalence)
    if log_odds is not None:
        mean, deviation = log_odds
        score, weight = mean + deviation * NODES, WEIGHTS / WEIGHTS.sum()
    information = weight * expit(score) * expit(-score)
    level, cross, slope = information.sum(), information @ score, information @ score**2
    return float(level / (level * slope - cross**2) / (width / (2 * Z)) ** 2)


def _c(prevalence: float, c: float, width: float) -> float:
    """Stays for an interval of the C statistic, by Newcombe's formula."""

    def excess(stays: float) -> float:
        half = stays / 2 - 1
        top = c * (1 - c) * (1 + half * (1 - c) / (2 - c) + half * c / (1 + c))
        return 2 * Z * math.sqrt(max(top, 0.0) / (stays**2 * prevalence * (1 - prevalence))) - width

    return 2.0 if excess(2.0) <= 0 else float(brentq(excess, 2.0, MOST))
