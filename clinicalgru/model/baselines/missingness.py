"""What the pattern of measurements alone predicts: what was measured, how often and when, without values."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.bootstrap import bootstrap_metrics, class_patients, interval_table, numbered_patients
from clinicalgru.evaluate.details_text import cell
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.model.baselines.logistic_model import LogisticModel
from clinicalgru.model.baselines.summary_baseline import INVERSE_PENALTY
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.summaries import summarise

WITHOUT_VALUES = ("count", "hours_since_first", "hours_since_last")
N_RESAMPLES = 200


def missingness_features(stays: Sequences) -> np.ndarray:
    """Summarise when and how often each variable was measured, without its values.

    Parameters
    ----------
    stays : Sequences
        Stays.

    Returns
    -------
    ndarray of float32, shape (stay, 3 x variable)
        Log of 1 + the count, hours since the first and since the last measurement; NaN where there is none.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(60)), cg.Task.load("in_hospital_mortality"))
    >>> missingness_features(stays).shape[1] == 3 * len(stays.variables)
    True
    """
    kept = [SUMMARIES.index(name) for name in WITHOUT_VALUES]
    table = summarise(stays).reshape(len(stays), len(stays.variables), len(SUMMARIES))
    return table[:, :, kept].reshape(len(stays), -1)


def missingness_alone(train: Sequences, test: Sequences, *, random_state: int = 0) -> str:
    """Say how well a logistic regression without any value ranks the test stays of a binary task.

    Parameters
    ----------
    train, test : Sequences
        Stays with known outcomes, both present.
    random_state : int
        Seed of the resamples.

    Returns
    -------
    str
        AUROC with its 95 % interval. Where it is near that of the model, the model may live on the habits of charting,
        which differ between hospitals.

    References
    ----------
    Agniel et al. 2018, BMJ 361:k1479, biases in electronic health record data due to processes within the system.
    """
    with threadpool_limits(1):
        model = LogisticModel.fit(
            missingness_features(train), train.outcome.astype(int), inverse_penalty=INVERSE_PENALTY
        )
        risk = np.asarray(model.predict_proba(missingness_features(test)))[:, 1]
    outcome, patient = np.asarray(test.outcome, dtype=float), numbered_patients(test.patient, len(test))
    estimates, replicates, _ = bootstrap_metrics(
        {"": lambda weights: {"auroc": RISK_METRICS["auroc"](outcome, risk, weights)}},
        patient,
        n_resamples=N_RESAMPLES,
        random_state=random_state,
    )
    few = min(class_patients(outcome, patient))
    row = interval_table(estimates[""], replicates[""], n_resamples=N_RESAMPLES, class_counts=few)
    auroc, low, high = (float(row[name].iloc[0]) for name in ("estimate", "low", "high"))
    shown = cell(auroc, low, high, ".3f")
    return f"a logistic regression on what was measured, how often and when, without values, has AUROC {shown}"
