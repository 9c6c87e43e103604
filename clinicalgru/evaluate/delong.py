"""DeLong's test: two AUROCs on the same stays, without resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

from clinicalgru.evaluate.bootstrap import Z
from clinicalgru.evaluate.validation import Array


@dataclass(frozen=True)
class DeLong:
    """Two AUROCs and their difference.

    Attributes
    ----------
    first, second : float
        The AUROCs.
    error : float
        Standard error of the first minus the second.
    """

    first: float
    second: float
    error: float

    @property
    def difference(self) -> float:
        """The first AUROC minus the second."""
        return self.first - self.second

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        return self.difference - Z * self.error, self.difference + Z * self.error

    @property
    def p(self) -> float:
        """Two-sided p value of no difference."""
        if self.error <= 1e-12:
            return 1.0 if abs(self.difference) <= 1e-12 else 0.0
        return float(2 * ndtr(-abs(self.difference) / self.error))


def delong(outcome: Array, first: Array, second: Array, patient: NDArray[np.int64] | None = None) -> DeLong:
    """Compare two AUROCs on the same stays.

    Parameters
    ----------
    outcome : ndarray, shape (n_stays,)
        0 or 1, both present at least twice.
    first, second : ndarray, shape (n_stays,)
        Risks.
    patient : ndarray of int, shape (n_stays,), optional
        Number of the patient of each stay. None: each stay is another patient.

    Returns
    -------
    DeLong
        Where patients have several stays, the standard error is that of Obuchowski for clustered data.

    References
    ----------
    DeLong et al. 1988, Biometrics 44:837-845; Sun and Xu 2014, the fast algorithm by midranks; Obuchowski 1997,
    Biometrics 53:567-578, clustered data.

    Examples
    --------
    >>> import numpy as np
    >>> outcome = np.array([0.0, 0, 0, 1, 1, 1])
    >>> result = delong(outcome, np.array([0.1, 0.2, 0.6, 0.5, 0.8, 0.9]), np.array([0.5, 0.2, 0.6, 0.1, 0.8, 0.3]))
    >>> round(result.first, 3), round(result.second, 3), round(result.p, 3)
    (0.889, 0.444, 0.074)
    """
    is_event = outcome == 1
    placed = np.stack([_placements(risk, is_event) for risk in (first, second)])
    areas = placed[:, is_event].mean(axis=1)
    events, others = int(is_event.sum()), int((~is_event).sum())
    gap = placed[0] - placed[1]
    if patient is None or len(np.unique(patient)) == len(patient):
        variance = gap[is_event].var(ddof=1) / events + gap[~is_event].var(ddof=1) / others
    else:
        own = (gap - (areas[0] - areas[1])) / np.where(is_event, events, others)
        per_patient = np.bincount(patient, own)
        n_patients = len(np.unique(patient))
        variance = n_patients / (n_patients - 1) * float((per_patient**2).sum())
    return DeLong(float(areas[0]), float(areas[1]), float(np.sqrt(variance)))


def _placements(risk: Array, is_event: NDArray[np.bool_]) -> Array:
    """Of an event the fraction of other stays below it, of another stay the fraction of events above it; ties half."""
    placed = np.empty(len(risk))
    ranks = rankdata(risk)
    placed[is_event] = (ranks[is_event] - rankdata(risk[is_event])) / (~is_event).sum()
    placed[~is_event] = 1 - (ranks[~is_event] - rankdata(risk[~is_event])) / is_event.sum()
    return placed
