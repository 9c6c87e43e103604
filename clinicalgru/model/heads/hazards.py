"""Discrete-time hazards: from logits of the hazard of each interval to losses, survival and risks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MIN_HAZARD = 1e-12  # of the mean of several members, so that its logit is finite


def hazard_loss(logits: Tensor, interval: Tensor, weight: Tensor) -> Tensor:
    """Sum of the weighted negative log likelihood of the intervals in which the events occurred.

    Parameters
    ----------
    logits : Tensor, shape (member, prediction, interval)
        Log-odds of the hazards.
    interval : Tensor, shape (prediction,)
        Number of the interval with the event; the number of intervals where there is none.
    weight : Tensor, shape (prediction,)
        Weights, not below 0.

    Returns
    -------
    Tensor, shape ()

    References
    ----------
    Gensheimer and Narasimhan 2019, nnet-survival.

    Examples
    --------
    >>> import torch
    >>> hazard_loss(torch.zeros(1, 1, 3), torch.tensor([1]), torch.ones(1)).item()  # survived one, not the second
    1.3862943649291992
    """
    number = torch.arange(logits.shape[2], device=logits.device)
    event = (number == interval[:, None]).to(logits.dtype).expand(logits.shape)
    at_risk = (number <= interval[:, None]) * weight.to(logits.dtype)[:, None]
    return (F.binary_cross_entropy_with_logits(logits, event, reduction="none") * at_risk).sum()


def hazard_rates(interval: np.ndarray, weight: np.ndarray, n_intervals: int) -> np.ndarray:
    """The hazard of each interval over all predictions together, as in a life table.

    Parameters
    ----------
    interval : ndarray of int, shape (prediction,)
        As of `hazard_loss`.
    weight : ndarray, shape (prediction,)
        Weights, not below 0.
    n_intervals : int
        Number of intervals.

    Returns
    -------
    ndarray, shape (interval,)
        Above 0 and below 1: half an event is added to each.

    Examples
    --------
    >>> hazard_rates(np.array([0, 1, 2, 2]), np.ones(4), 2)
    array([0.3  , 0.375])
    """
    events = np.bincount(interval, weight, minlength=n_intervals + 1)
    at_risk = np.cumsum(events[::-1])[::-1]
    return np.asarray((events[:-1] + 0.5) / (at_risk[:-1] + 1))


def mean_survival_logits(logits: Tensor) -> Tensor:
    """Logits of the hazards of the mean survival of the members.

    Parameters
    ----------
    logits : Tensor, shape (member, prediction, interval)
        Log-odds of the hazards.

    Returns
    -------
    Tensor of float64, shape (1, prediction, interval)
    """
    survival = F.logsigmoid(-logits.double()).cumsum(dim=2).exp().mean(dim=0, keepdim=True)
    before = torch.cat([torch.ones_like(survival[..., :1]), survival[..., :-1]], dim=2)
    return torch.logit((1 - survival / before.clamp_min(1e-300)).clamp(MIN_HAZARD, 1 - MIN_HAZARD))


def onset_log_odds(logits: Tensor, priority: Tensor) -> Tensor:
    """Log-odds of the risk of an event in any of the intervals, each with its priority.

    The risk is the sum, over the intervals, of the priority times the probability that the event occurs there.

    Parameters
    ----------
    logits : Tensor, shape (..., interval)
        Log-odds of the hazards.
    priority : Tensor, shape (interval,)
        From above 0 to 1; that of the first interval is 1. All 1: the probability of the event.

    Returns
    -------
    Tensor, shape (...)

    References
    ----------
    Yèche et al. 2024, "Dynamic Survival Analysis for Early Event Prediction": alarms that give imminent events a higher
    priority. Deviation from the paper: priorities fall exponentially.

    Examples
    --------
    >>> import torch
    >>> onset_log_odds(torch.tensor([0.3]), torch.ones(1)).item()
    0.30000001192092896
    """
    survived = F.logsigmoid(-logits).cumsum(dim=-1)
    before = F.pad(survived[..., :-1], (1, 0))
    occurs = before + F.logsigmoid(logits)
    priority = priority.to(logits)
    postponed = torch.log1p(-priority)[1:] + occurs[..., 1:]
    without = torch.logsumexp(torch.cat([survived[..., -1:], postponed], dim=-1), dim=-1)
    return torch.logsumexp(occurs + priority.log(), dim=-1) - without
