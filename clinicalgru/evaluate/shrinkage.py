"""Shrinkage of calibration: slopes near 1 and levels near those of the model where few stays have the event."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from clinicalgru.disclosure import coarse_count
from clinicalgru.errors import CalibrationWarning
from clinicalgru.evaluate.validation import Array

LEVEL_SCALE = 0.25  # scale of the Cauchy prior on a shift of the log-odds; docs/decisions/16
LOG_SLOPE_SCALE = 0.2  # scale of the Cauchy prior on the log of a slope
MAX_LOG_SLOPE = 3.0  # bound of the search for the log of a slope
MIN_EVENTS = 20  # stays with the event, and stays without it; a calibration on fewer is hardly one


def shrinkage_penalty(shift: ArrayLike, scale: ArrayLike) -> tuple[float, Array]:
    """Minus the log density of Cauchy priors around 0, but for a constant, and its gradient.

    The tails are heavy: small shifts, such as chance makes of few events, are shrunk towards 0. Large ones stay, such
    as class weights or another hospital make.

    Parameters
    ----------
    shift : array-like, shape (n_shifts,) or ()
        Shifts of the log-odds, or logs of slopes.
    scale : array-like, shape (n_shifts,) or ()
        Half of a prior's mass is within its scale. Infinite: no prior.

    Returns
    -------
    penalty : float
        To be added to the negative log-likelihood; 0 without shifts.
    gradient : ndarray, shape (n_shifts,) or ()
        Of the penalty.

    References
    ----------
    Gelman et al. 2008, "A weakly informative default prior distribution for logistic and other regression models".

    Examples
    --------
    >>> penalty, gradient = shrinkage_penalty([0.25, 3.0], [0.25, np.inf])
    >>> round(penalty, 3), gradient
    (0.693, array([4., 0.]))
    """
    scale = np.asarray(scale, dtype=float)
    ratio = np.asarray(shift, dtype=float) / scale
    return float(np.log1p(ratio**2).sum()), 2 * ratio / (1 + ratio**2) / scale


def fit_shrunken_line(
    target: Array, score: Array, *, repeats: float = 1.0, level_scale: float = LEVEL_SCALE
) -> tuple[float, float]:
    """Fit a line on log-odds by penalised maximum likelihood, with priors on its slope and on its level.

    The log of the slope and the shift of the level have Cauchy priors. The level is that at the mean of the log-odds,
    weighted by the variance of the outcome.

    Parameters
    ----------
    target : ndarray, shape (row,)
        Between 0 and 1.
    score : ndarray, shape (row,)
        Log-odds of the predicted risks.
    repeats : float
        Number of rows with the event for each independent event, such as the time steps before one onset. The prior
        counts that many times, since the rows count that much too much.
    level_scale : float
        Scale of the prior on the level, see `shrinkage_penalty`. Infinite: none.

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
        penalty, pull = shrinkage_penalty(line, (level_scale, LOG_SLOPE_SCALE))
        gradient = np.array([error.mean(), (error @ centered) * slope / n]) + prior * pull
        return float(likelihood + prior * penalty), gradient

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
            "line was shrunk towards the risks as they were. Hold back more stays, or use GRUEnsemble."
        )
        warnings.warn(message, CalibrationWarning, stacklevel=stacklevel)
