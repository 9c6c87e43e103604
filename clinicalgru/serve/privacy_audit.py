"""Membership inference: how well an attacker who knows a patient's record tells that the patient was in training."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta, binom

from clinicalgru.checks import check_number
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError, PrivacyWarning
from clinicalgru.evaluate.metrics import auroc
from clinicalgru.model.patient_overlap import held_out, involved_text, seen_patients

FALSE_POSITIVE_RATE, LIMIT, MIN_PATIENTS = 0.01, 0.02, 500
MIN_PROBABILITY = 1e-300
MIN_OTHERS = 100  # patients that training did not see, from which a false positive rate of 1 % can be set


@dataclass(frozen=True)
class PrivacyAudit:
    """Result of an attack on a model.

    Attributes
    ----------
    true_positive_rate : float
        Fraction of the training patients that the attack recognises at a false positive rate of 1 %; NaN with fewer
        than 100 other patients. 0.01 is chance, or less where others are few.
    low, high : float
        Its 95 % interval, of members and others as a sample; see `recognised`.
    auroc : float
        How often a training patient looks more like one than another patient does; 0.5 is chance.
    members, others : int
        Patients of training, and others, that were compared.
    training_patients : int
        Patients that the model was trained on, of whom `members` may be a part.
    """

    true_positive_rate: float
    low: float
    high: float
    auroc: float
    members: int
    others: int
    training_patients: int

    @property
    def reasons(self) -> list[str]:
        """Why this model should not leave the house as it is; empty where nothing was found."""
        found = []
        if self.true_positive_rate > LIMIT:
            chance = "; chance is not excluded" if self.low <= FALSE_POSITIVE_RATE else ""
            rate = f"{self.true_positive_rate:.1%}"
            found.append(f"training patients are recognised at {rate} with 1 % false positives{chance}")
        if self.training_patients < MIN_PATIENTS:
            found.append(f"fewer than {MIN_PATIENTS} training patients")
        if np.isnan(self.true_positive_rate):
            found.append(f"fewer than {MIN_OTHERS} other patients: not measured")
        return found

    def __str__(self) -> str:
        rate = f"{self.true_positive_rate:.2%} ({self.low:.2%} to {self.high:.2%})"
        shown = "an unknown fraction" if np.isnan(self.true_positive_rate) else rate
        first = f"Membership inference: {shown} of the training patients recognised at 1 % false positives"
        return f"{first}; AUROC {self.auroc:.3f}." + "".join(f" Warning: {reason}." for reason in self.reasons)

    __repr__ = __str__

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the numbers by name, None where unknown.

        Returns
        -------
        dict
            Numbers.
        """
        return {name: None if value != value else value for name, value in asdict(self).items()}


def privacy_audit(model: Any, members: Sequences, others: Sequences, *, warn: bool = True) -> PrivacyAudit:
    """Measure membership inference by the loss of each patient.

    Parameters
    ----------
    model : fitted estimator
        Of a task with one outcome of 0 or 1.
    members : Sequences
        Stays of training patients, with outcomes.
    others : Sequences
        Stays of patients that took no part in pretraining, training or calibration, of the same place and time.
    warn : bool
        Whether to warn where training patients are recognised too well, or are too few.

    Returns
    -------
    PrivacyAudit
        Print it.

    Raises
    ------
    ArgumentError
        If a patient of `members` was not in training, one of `others` took part in making the model, or the task is
        another one.

    Warns
    -----
    PrivacyWarning
        If more than 2 % of the training patients are recognised at a false positive rate of 1 %, or training had fewer
        than 500 patients.

    Notes
    -----
    The attack calls a patient a member where the log loss of its true outcome is low (Yeom et al. 2018). Attacks with
    shadow models are stronger; a low figure here is no proof of privacy.

    References
    ----------
    Yeom et al. 2018, IEEE CSF, "Privacy risk in machine learning". Carlini et al. 2022, IEEE S&P, "Membership inference
    attacks from first principles": report the true positive rate at a low false positive rate.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(400)), cg.Task.load("in_hospital_mortality"))
    >>> train, other = cg.split_patients(stays, [0.5, 0.5], random_state=0)
    >>> model = cg.SummaryBaseline("logistic regression").fit(train)
    >>> cg.privacy_audit(model, train, other, warn=False).reasons
    ['fewer than 500 training patients']
    """
    if model.task_.task_type != "binary":
        raise ArgumentError("a task with one outcome of 0 or 1", model.task_.task_type, "Audit a binary model.")
    n_unknown = int((~seen_patients(model).includes(members)).sum())
    if n_unknown:
        got = f"{n_unknown:,} of {len(members):,} stays of other patients"
        raise ArgumentError("training patients as members, and no other", got, "Pass the training stays as members.")
    if not held_out(model, others).all():
        fix = "Pass stays of patients that neither pretraining, training nor calibration had; others are no members."
        expected = "others that took no part in making the model"
        raise ArgumentError(expected, involved_text(model, others), fix)
    check_number("stays of others", len(others), minimum=1)
    inside, outside = (_losses(model, stays) for stays in (members, others))
    label = np.repeat([1.0, 0.0], [len(inside), len(outside)])
    score = -np.concatenate([inside, outside])
    area = float(auroc(label, score, np.ones((1, len(score))))[0])
    rate, low, high = recognised(inside, outside) if len(outside) >= MIN_OTHERS else (float("nan"),) * 3
    trained = getattr(model, "trained_on_", {}).get("patients")
    n_trained = max(len(inside), trained) if isinstance(trained, int) else len(inside)
    audit = PrivacyAudit(rate, low, high, area, len(inside), len(outside), n_trained)
    if warn and audit.reasons:
        warnings.warn(f"{'; '.join(audit.reasons)}. Share this model with care.", PrivacyWarning, stacklevel=2)
    return audit


def recognised(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float, float]:
    """Estimate the fraction of the members whose loss is below that of all but 1 % of the others.

    Parameters
    ----------
    inside, outside : ndarray, shape (patient,)
        Losses of members, and of at least 99 others.

    Returns
    -------
    estimate, low, high : float
        The fraction and its 95 % interval.

    Notes
    -----
    The limit is an order statistic of the others, such that 1 % of the members, or fewer, are recognised where they are
    like the others. The interval joins that of the limit (Conover 1999, section 3.2) with those of the fraction at both
    its ends (Clopper and Pearson 1934), each one-sided at 1.25 %.

    Examples
    --------
    >>> losses = np.arange(1.0, 1001)
    >>> [round(number, 3) for number in recognised(losses, losses)]
    [0.009, 0.0, 0.031]
    """
    others, size, error = np.sort(outside), len(inside), 0.0125
    limit = others[int(FALSE_POSITIVE_RATE * (len(others) + 1)) - 1]
    first, last = (int(binom.ppf(p, len(others), FALSE_POSITIVE_RATE)) for p in (error, 1 - error))
    fewest = int((inside < others[first - 1]).sum()) if first else 0
    most = int((inside <= others[min(last, len(others) - 1)]).sum())
    low = float(beta.ppf(error, fewest, size - fewest + 1)) if fewest else 0.0
    high = float(beta.ppf(1 - error, most + 1, size - most)) if most < size else 1.0
    return float((inside < limit).mean()), low, high


def _losses(model: Any, stays: Sequences) -> np.ndarray:
    """(patient,) mean log loss of the true outcomes."""
    stays = stays[np.asarray(model.has_observations(stays))]
    probability = np.asarray(model.predict_proba(stays))
    own = probability[np.arange(len(stays)), stays.outcome.astype(int)]
    number = np.unique(stays.patient.astype(str), return_inverse=True)[1]
    return np.asarray(np.bincount(number, weights=-np.log(own.clip(MIN_PROBABILITY))) / np.bincount(number))
