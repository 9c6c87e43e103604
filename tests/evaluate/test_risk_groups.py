"""Groups of similar risk: pooled so that nobody is found, and silent where too little is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.evaluate.risk_groups import RiskGroups


@pytest.fixture(scope="module")
def cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    risk = 1 / (1 + np.exp(-rng.normal(-2.0, 1.6, 900)))
    return (rng.random(900) < risk).astype(float), risk, rng.integers(0, 700, 900)


def test_every_group_and_rank_is_of_eleven_patients_and_no_small_count_can_be_read(cohort):
    outcome, risk, patients = cohort
    groups = RiskGroups.of(outcome, risk, patients)
    assert sum(groups.stays) == 900
    assert sum(groups.events) == outcome.sum()
    for stays, events in zip(groups.stays, groups.events, strict=True):
        assert events == 0 or events >= 11
        assert stays - events == 0 or stays - events >= 11
    assert len(groups.ranks) <= len(np.unique(patients)) // 11


def test_the_interval_covers_what_such_stays_have_and_the_rank_grows(cohort):
    groups = RiskGroups.of(*cohort)
    ranks = [groups.standing(risk).higher_than for risk in (0.01, 0.1, 0.3, 0.7)]
    assert ranks == sorted(ranks)
    assert groups.standing(0.1).higher_than == pytest.approx(100 * (cohort[1] < 0.1).mean(), abs=4)
    known = groups.standing(0.6)
    assert known.low < known.observed < known.high
    assert known.low < 0.6 < known.high


def test_a_risk_that_no_group_is_like_or_too_few_stays_say_nothing(cohort):
    assert not RiskGroups.of(*cohort).standing(0.999).is_known
    few = RiskGroups.of(*(part[:8] for part in cohort))
    assert few.mean_risk == ()
    assert few.standing(0.2).higher_than is None


def test_groups_survive_a_manifest_and_forged_ones_are_refused(cohort):
    groups = RiskGroups.of(*cohort)
    assert RiskGroups.from_dict(groups.to_dict()).to_dict() == groups.to_dict()
    for forged in ({"stays": [3.0] * len(groups.stays)}, {"events": [1.0]}, {"ranks": [float("nan")]}):
        with pytest.raises(ValueError, match="groups"):
            RiskGroups.from_dict(groups.to_dict() | forged)


def test_a_survival_model_counts_events_within_each_horizon_and_is_silent_where_many_are_censored(cohort):
    _, risk, _ = cohort
    rng = np.random.default_rng(1)
    hours, event = rng.exponential(100 / (0.2 + risk)), np.ones(900)
    event[:200] = 0  # censored, half of them late
    hours[:30], hours[30:200] = 10.0, 300.0
    model = cg.GRUSurvival()
    model.head_ = SimpleNamespace(output_names=("early", "late"), horizons=(50.0, 400.0))
    model.predict_risk = lambda _: np.column_stack([risk, risk])
    groups = model._held_out_groups(
        SimpleNamespace(outcome=np.column_stack([hours, event]), patient=np.arange(900)), ()
    )
    assert groups["early"].mean_risk
    late = groups["late"]  # before 400 hours, 22 % are censored: only ranks are known
    assert late.ranks
    assert (late.mean_risk, late.stays, late.events) == ((), (), ())
    assert sum(groups["early"].stays) == 870
    assert sum(groups["early"].events) == ((hours <= 50) & (event == 1)).sum()


def test_an_early_warning_counts_the_highest_risk_of_each_stay_up_to_its_event():
    hours, stay = np.tile(np.arange(1.0, 11.0), 1000), np.repeat(np.arange(1000), 10)
    onset = np.where(np.arange(1000) < 400, 5.0, np.inf)
    risk = np.where(stay < 400, np.where(hours > 5, 0.99, 0.6), 0.1)  # what comes after the event does not count
    model = cg.GRUEarlyWarning()
    model.predict_hourly = lambda _: pd.DataFrame({"stay": stay, "hours": hours, "risk": risk})

    class Stays(SimpleNamespace):
        def __len__(self) -> int:
            return 1000

    groups = model._held_out_groups(Stays(outcome=onset, patient=np.arange(1000)), ())["highest"]
    assert sum(groups.events) == 400
    assert max(groups.mean_risk) == pytest.approx(0.6)
    assert groups.standing(0.6).observed > 0.9
