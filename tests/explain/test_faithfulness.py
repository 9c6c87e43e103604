"""Faithfulness: that the measure itself tells good orders from bad, and that contributions pass it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.explain.attribution.contributions import contributions
from clinicalgru.explain.faithfulness.faithfulness import attended, driver_auroc, rank_correlation
from clinicalgru.explain.faithfulness.perturbation import perturbation_curves, rank_within_stay
from clinicalgru.explain.faithfulness.planted_truth import plant
from clinicalgru.explain.targets import member_networks


@pytest.fixture(scope="module")
def fitted(parts):
    """A model that learned for long enough to have something to explain."""
    model = cg.GRUClassifier(
        network=cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=4),
        max_epochs=14,
        distillation=0.0,
        random_state=0,
    )
    return model.fit(parts[0], validation=parts[1], verbose=False).calibrate(parts[2])


@pytest.fixture(scope="module")
def stays(test_stays):
    return test_stays[np.arange(24)]


@pytest.fixture(scope="module")
def measured(fitted, stays):
    ours = contributions(fitted, stays).parts.sum(axis=0)
    return cg.faithfulness(fitted, stays, rankings={"the other way round": -ours}, n_random=3)


@pytest.mark.slow
def test_deleting_what_raised_the_risk_lowers_it_more_than_attention_random_and_the_reverse(measured):
    by = measured.table.set_index("method")
    for name in ("deletion", "insertion", "comprehensiveness"):
        assert by[name].idxmax() == "contributions"
    assert by["deletion"].idxmin() == "the other way round"
    assert by["sufficiency"].idxmin() == "contributions"
    assert by.loc["contributions", "win_rate_random"] >= 0.8
    assert (by["deletion_low"] <= by["deletion"]).all()


@pytest.mark.slow
def test_contributions_come_from_what_was_learned_not_from_the_shape_of_the_network(measured):
    assert abs(measured.random_weights_correlation) <= 0.2
    assert measured.max_completeness_error <= 1e-3


@pytest.mark.slow
def test_the_result_is_shown_as_text_and_html_and_withholds_small_counts(measured, fitted, stays):
    assert "contributions" in str(measured)
    assert "Beats attention" in measured._repr_html_()
    few = cg.faithfulness(fitted, replace(stays[:3], simulated=False), n_random=1)
    assert few.n_stays is None
    assert "suppressed" in str(few)


def test_deletion_is_as_if_never_measured(fitted, stays):
    scores = np.random.default_rng(0).random(len(stays.value))
    found = perturbation_curves(member_networks(fitted), stays, scores=scores)
    rank, counts = rank_within_stay(scores, stays), stays.n_measurements[stays.stay_of_measurement]
    risk = fitted.predict_proba(stays)[:, 1]
    fall = [risk - fitted.predict_proba(stays.filter_measurements(rank >= np.ceil(p * counts)))[:, 1]
            for p in (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)]  # fmt: skip
    np.testing.assert_allclose(found.comprehensiveness, np.mean(fall, axis=0), atol=1e-6)


def test_ranks_count_down_from_the_highest_score_of_each_stay(stays):
    scores = np.random.default_rng(0).random(len(stays.value))
    rank = rank_within_stay(scores, stays)
    first = slice(stays.starts[3], stays.starts[4])
    assert rank[first].tolist() == (-scores[first]).argsort().argsort().tolist()


def test_rank_correlation_and_auroc_are_those_of_scikit_learn_and_pandas(stays):
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    a, b, mask = rng.random(len(stays.value)), rng.random(len(stays.value)), rng.random(len(stays.value)) < 0.2
    cut = [slice(*pair) for pair in zip(stays.starts[:-1], stays.starts[1:], strict=True)]
    import pandas as pd

    by_hand = np.mean([pd.Series(a[part]).corr(pd.Series(b[part]), method="spearman") for part in cut])
    assert rank_correlation(a, b, stays) == pytest.approx(by_hand, abs=1e-9)
    assert rank_correlation(a, a, stays) == pytest.approx(1)
    assert driver_auroc(a, mask, stays) == pytest.approx(np.mean([roc_auc_score(mask[p], a[p]) for p in cut]))


@pytest.mark.slow
def test_attention_of_a_measurement_is_that_of_its_hour(fitted, stays):
    why = cg.explain(fitted, stays[[5]]).attention.set_index("hours")["weight"]
    first = slice(stays.starts[5], stays.starts[6])
    np.testing.assert_allclose(attended(member_networks(fitted), stays)[first], why[stays.hours[first]], atol=1e-6)


def test_scores_that_do_not_fit_are_refused(fitted, stays):
    with pytest.raises(cg.ClinicalGRUError, match="one score for each of"):
        cg.faithfulness(fitted, stays, rankings={"mine": np.zeros(3)})


def test_events_are_planted_in_simulated_stays_only(stays):
    planted, mask = plant(stays, variable="heart_rate", value=185.0)
    assert (planted.value[mask] == 185).all()
    assert np.bincount(stays.stay_of_measurement[mask]).max() == 1
    assert np.array_equal(planted.value[~mask], stays.value[~mask])
    with pytest.raises(cg.ClinicalGRUError, match="stays of a synthetic cohort"):
        plant(replace(stays, simulated=False), variable="heart_rate", value=185.0)


@pytest.mark.slow
@pytest.mark.lab
def test_on_real_patients_contributions_beat_random_on_19_of_20(real_data, task):
    folder = real_data / "physionet2012"
    events = cg.read_events(folder / "set-b.tar.gz", source="physionet2012", outcomes=folder / "Outcomes-b.txt")
    stays = cg.select(events, task)
    train, tune, test, _ = cg.split_patients(stays[stays.n_measurements > 0], [0.4, 0.1, 0.02, 0.48], random_state=0)
    small = {"network": cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=4), "max_epochs": 4}
    model = cg.GRUClassifier(**small).fit(train, validation=tune, verbose=False)
    found = cg.faithfulness(model, test, n_random=3)
    by = found.table.set_index("method").loc["contributions"]
    assert by["win_rate_random"] >= 0.95
    assert by["win_rate_attention"] >= 0.95
    assert abs(found.random_weights_correlation) <= 0.2
    assert found.max_completeness_error <= 1e-3


@pytest.mark.slow
def test_the_one_measurement_that_decides_is_found_early_or_late(task):
    cohort = cg.select(cg.read_events(cg.simulate(600, random_state=5)), task)
    sequences, decides = plant(cohort, variable="heart_rate", value=185.0, random_state=1)
    train, tune, test = cg.split_patients(sequences, [0.65, 0.1, 0.25], random_state=0)
    network = cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=4)
    model = cg.GRUClassifier(network, max_epochs=8, learning_rate=1e-2, distillation=0.0)
    model.fit(train, validation=tune, verbose=False)
    where = {stay: i for i, stay in enumerate(sequences.stay)}
    mask = decides[concat_ranges(sequences.starts, np.array([where[stay] for stay in test.stay]))[0]]
    assert cg.faithfulness(model, test, drivers=mask, n_random=1).driver_auroc >= 0.95
    size = np.abs(contributions(model, test).parts.sum(axis=0))
    early = np.bincount(test.stay_of_measurement[mask & (test.hours < 12)], minlength=len(test)) > 0
    chosen = early[test.stay_of_measurement]
    assert early.sum() >= 5
    assert driver_auroc(size[chosen], mask[chosen], test[np.flatnonzero(early)]) >= 0.95
