"""Shrinkage of recalibration: slopes near 1 where few stays have the event."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from clinicalgru.disclosure import coarse_count
from clinicalgru.errors import CalibrationWarning
from clinicalgru.evaluate.validation import Array

LOG_SLOPE_SD = 0.3  # standard deviation of the normal prior on the log of a slope; docs/decisions/16
MAX_LOG_SLOPE = 3.0  # bound of the search for the log of a slope
MIN_EVENTS = 20  # stays with the event, and stays without it; a calibration on fewer is hardly one


def log_slope_penalty(log_slope: float) -> float:
    """Minus the log density of the prior on a log slope, but for a constant; 0 at a slope of 1.

    Parameters
    ----------
    log_slope : float
        Log of the slope.

    Returns
    -------
    float
        To be added to the negative log-likelihood.

    Examples
    --------
    >>> log_slope_penalty(0.0), log_slope_penalty(LOG_SLOPE_SD)
    (0.0, 0.5)
    """
    return 0.5 * float(log_slope / LOG_SLOPE_SD) ** 2


def fit_shrunken_line(target: Array, score: Array, *, repeats: float = 1.0) -> tuple[float, float]:
    """Fit a line on log-odds by penalised maximum likelihood, with a normal prior on the log of its slope.

    Parameters
    ----------
    target : ndarray, shape (row,)
        Between 0 and 1.
    score : ndarray, shape (row,)
        Log-odds of the predicted risks.
    repeats : float
        Number of rows with the event for each independent event, such as the time steps before one onset. The prior
        counts that many times, since the rows count that much too much.

    Returns
    -------
    slope, intercept : float
        The slope is above 0.

    References
    ----------
    Shrinkage of a recalibrated slope towards 1: Steyerberg et al. 2004, "Validation and updating of predictive
    logistic regression models". Small samples overfit: Van Calster et al. 2019, "Calibration: the Achilles heel of
    predictive analytics"; Riley et al. 2021, "Minimum sample size for external validation of a clinical prediction
    model with a binary outcome".

    Examples
    --------
    >>> import numpy as np
    >>> few, score = np.array([0.0, 1, 0, 1]), np.array([-3.0, -1, 1, 3])
    >>> slopes = [fit_shrunken_line(np.tile(few, n), np.tile(score, n))[0] for n in (1, 100)]
    >>> 1 > slopes[0] > slopes[1]  # the prior fades
    True
    """
    from scipy.optimize import minimize

    risk = expit(score)
    weight = risk * (1 - risk)
    center = float(weight @ score / weight.sum())
    centered, n, prior = score - center, len(score), repeats / len(score)

    def loss(line: Array) -> tuple[float, Array]:
        slope = np.exp(line[1])
        predictor = line[0] + center + slope * centered
        error = expit(predictor) - target
        likelihood = (np.logaddexp(0, predictor) - target * predictor).mean()
        gradient = [error.mean(), (error @ centered) * slope / n + prior * line[1] / LOG_SLOPE_SD**2]
        return float(likelihood + prior * log_slope_penalty(line[1])), np.array(gradient)

    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500}
    bounds = [(None, None), (-MAX_LOG_SLOPE, MAX_LOG_SLOPE)]
    level, log_slope = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    slope = float(np.exp(log_slope))
    return slope, float(level + center - slope * center)


def warn_of_few_events(counts: Mapping[str, tuple[float, float]], *, stacklevel: int) -> None:
    """Warn where fewer than 20 stays with the event, or without it, calibrate a risk.

    Parameters
    ----------
    counts : mapping of str to tuple of float
        Stays with the event and without it, by name of the risk. Risks that nothing calibrates are left out.
    stacklevel : int
        As of `warnings.warn`.

    Warns
    -----
    CalibrationWarning
        With the name of each such risk.

    Examples
    --------
    >>> warn_of_few_events({"risk": (20.0, 300.0)}, stacklevel=2)
    """
    few = [name for name, pair in counts.items() if min(pair) < MIN_EVENTS]
    if few:
        events, others = (coarse_count(number) if np.isfinite(number) else None for number in counts[few[0]])
        without = "" if others is None else f", {others} without"
        message = (
            f"Calibrated on too few stays ({few[0]}: {events} with the event{without}"
            f"{'; ' + ', '.join(few[1:]) if few[1:] else ''}): {MIN_EVENTS} of each are needed, 100 are better. The "
            "slope was shrunk towards 1; the level of the risks is uncertain. Hold back more stays, or use GRUEnsemble."
        )
        warnings.warn(message, CalibrationWarning, stacklevel=stacklevel)
