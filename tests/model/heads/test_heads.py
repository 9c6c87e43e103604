"""Heads: losses against the textbook, masks, and what predictions mean."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from family import SMALL, TASKS, cohort_of_all_tasks, fitted_case, task_of
from helpers import to_dense
from scipy.special import softmax
from sklearn.metrics import log_loss
from torch.nn import functional as F

import clinicalgru as cg
from clinicalgru.model.baselines.forecast_baselines import measured
from clinicalgru.model.estimators.forecaster import FEWEST, MIN_INTERVAL_SCALE
from clinicalgru.model.heads.classification import Binary, MultiClass, MultiLabel
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.heads.forecast import Forecast, next_rows
from clinicalgru.model.heads.regression import Regression
from clinicalgru.model.heads.survival import Survival
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.network import ClinicalGRU, n_categories
from clinicalgru.model.training.auxiliary_losses import AuxiliaryTargets
from clinicalgru.model.training.distributed import shard_loss


def outcome_of(*values):
    outcome, task = np.array(values, dtype=float), SimpleNamespace(survival_horizons_hours=())
    return SimpleNamespace(outcome=outcome, task=task, patient=np.arange(len(outcome)))


def test_two_classes_are_a_binary_outcome():
    """Softmax over (0, x) is the sigmoid of x: an independent road to the same loss and the same probability."""
    logit, target = torch.randn(3, 5, 1), torch.tensor([0.0, 1, 1, 0, 1])
    both = torch.cat([torch.zeros_like(logit), logit], dim=2)
    head = MultiClass((0.0, 1.0))
    torch.testing.assert_close(head.loss(both, target), Binary().loss(logit, target))
    torch.testing.assert_close(
        head.predict(head.aggregate_members(both))[:, 1],
        Binary().predict(Binary().aggregate_members(logit)),
        atol=1e-6,
        rtol=1e-6,
    )


def test_an_unknown_label_teaches_nothing_and_leaves_the_others_alone():
    head, logits = MultiLabel(("a", "b")), torch.randn(2, 3, 2, requires_grad=True)
    target = torch.tensor([[1.0, torch.nan], [0.0, torch.nan], [torch.nan, torch.nan]])
    loss = head.loss(logits, target)
    expected = F.binary_cross_entropy_with_logits(logits[:, :2, 0], target[:2, 0].expand(2, 2))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert bool((logits.grad[:, :, 1] == 0).all())
    assert bool((logits.grad[:, 2] == 0).all())
    assert head.loss(logits, torch.full((3, 2), torch.nan)).item() == 0  # not NaN


def test_survival_likelihood_is_that_of_hazards_multiplied_out_by_hand():
    head = Survival((10.0, 20.0, 30.0), (20.0,))
    hazard = np.array([0.1, 0.2, 0.4])
    logits = torch.tensor(np.log(hazard / (1 - hazard)), dtype=torch.float32).expand(1, 1, 3)
    by_hand = {
        (15.0, 1.0): 0.9 * 0.2,  # survived the first interval, not the second
        (25.0, 0.0): 0.9 * 0.8,  # followed through two intervals
        (9.0, 0.0): 1.0,  # not followed to the end of any
        (40.0, 1.0): 0.9 * 0.8 * 0.6,  # the event occurred after the last interval
        (20.0, 1.0): 0.9 * 0.2,  # an event at a cut belongs to the interval that ends there
    }
    for target, likelihood in by_hand.items():
        assert head.loss(logits, torch.tensor([target])).item() == pytest.approx(-np.log(likelihood), abs=1e-5), target
    survival = head.predict(head.aggregate_members(logits)).numpy()
    np.testing.assert_allclose(survival[0], np.cumprod(1 - hazard), atol=1e-6)
    np.testing.assert_allclose(
        head.survival_at(survival, np.array([0, 10, 30, 99.0]))[0], [1, 0.9, 0.432, 0.432], atol=1e-6
    )


def test_the_mean_of_members_is_the_mean_of_their_survival_not_of_their_hazards():
    head, logits = Survival((1.0, 2.0), (1.0,)), torch.randn(4, 3, 2)
    each = torch.stack([head.predict(head.aggregate_members(logits[[i]])) for i in range(4)])
    torch.testing.assert_close(head.predict(head.aggregate_members(logits)), each.mean(dim=0))


def test_survival_starts_at_the_hazards_of_all_stays_together():
    """With censoring at random this is the life table: survival at the start is the Kaplan-Meier curve at the cuts."""
    chance = np.random.default_rng(0)
    event, lost = chance.exponential(100, 20_000), chance.exponential(150, 20_000)
    stays = outcome_of(*np.column_stack([np.minimum(event, lost), event <= lost]))
    head = Survival.fit_targets(stays)
    survival = head.predict(head.aggregate_members(head.initial_bias(stays).expand(1, 1, -1)))[0].numpy()
    np.testing.assert_allclose(survival[:-1], np.exp(-np.array(head.cuts[:-1]) / 100), atol=0.03)


def test_labels_of_an_early_warning_by_hand():
    """Gap 2, horizon 6, late 3; hours until the onset from far to past."""
    head = EarlyWarning(2.0, 6.0, 3.0)
    ahead = np.array([np.inf, 8.1, 8.0, 2.1, 2.0, 0.5, 0.0, -2.9, -3.0, -9.0])
    expected = [0, 0, 1, 1, np.nan, np.nan, 1, 1, np.nan, np.nan]
    np.testing.assert_array_equal(head.labels_at(ahead), expected)


@pytest.mark.parametrize("gap_hours", [0.0, 2.0])
def test_an_onset_exactly_at_the_end_of_the_gap_does_not_count_and_one_just_after_it_is_due(gap_hours):
    head = EarlyWarning(gap_hours, 6.0, 0.0)
    hours = gap_hours + np.array([0.0, 1e-9, 6.0, 6.0 + 1e-9])
    np.testing.assert_array_equal(head.labels_at(hours), [np.nan, 1, 1, 0])
    np.testing.assert_array_equal(head.signed_weights_at(hours), [np.nan, 1, 1, -1])


def test_an_onset_at_the_very_step_is_due_where_late_warnings_count():
    np.testing.assert_array_equal(EarlyWarning(0.0, 6.0, 3.0).labels_at(np.array([0.0, -2.9, -3.0])), [1, 1, np.nan])


def test_steps_weigh_by_what_a_warning_is_worth_there():
    """PhysioNet 2019, horizon 12, late 3: hours to the onset, and by hand what a warning gains or costs."""
    worth = {np.inf: -0.05, 20.0: -0.05, 9.0: 0.5, 6.0: 1.0, 1.5: 0.5 + 1.0, 0.0: 1 / 3 + 4 / 3}
    ahead, target = np.array(list(worth)), torch.tensor(list(worth.values()))
    head = EarlyWarning(0.0, 12.0, 3.0, mean_utility=0.5)
    np.testing.assert_allclose(head.signed_weights_at(ahead), np.array(list(worth.values())) / 0.5, atol=1e-12)
    logits = torch.randn(2, len(worth), 1)
    each = F.binary_cross_entropy_with_logits(logits[..., 0], (target > 0).float().expand(2, -1), reduction="none")
    expected = (each * target.abs() / 0.5).mean()
    torch.testing.assert_close(head.loss(logits, torch.from_numpy(head.signed_weights_at(ahead)).float()), expected)


def test_smoothed_labels_are_those_of_the_published_formula():
    """Yèche et al. 2023: exp(-gamma (t - d)) + A, with A and d such that it is 1 at h_min and 0 at h_max."""
    gamma, h_min, h_max = 0.2, 2.0, 14.0
    d = -np.log(np.exp(-gamma * h_min) - np.exp(-gamma * h_max)) / gamma
    a = -np.exp(-gamma * (h_max - d))
    head = EarlyWarning(h_min, (h_max - h_min) / 2, 3.0, smoothing_rate=gamma)
    hours = np.linspace(h_min, h_max, 25)
    np.testing.assert_allclose(head.smoothed_at(hours), np.exp(-gamma * (hours - d)) + a, atol=1e-12)
    np.testing.assert_array_equal(
        head.smoothed_at(np.array([-1.0, 0.0, h_min, h_max, 20.0, np.inf])), [1, 1, 1, 0, 0, 0]
    )
    nearly_flat = EarlyWarning(0.0, 6.0, 0.0, smoothing_rate=1e-6)
    np.testing.assert_allclose(nearly_flat.smoothed_at(np.array([3.0, 6.0, 9.0])), [0.75, 0.5, 0.25], atol=1e-5)


def test_the_loss_of_smoothed_labels_weighs_steps_as_before():
    head = EarlyWarning(0.0, 12.0, 3.0, mean_utility=0.5, smoothing_rate=0.2)
    ahead = np.array([np.inf, 20.0, 9.0, 6.0, 0.0, -5.0])
    weight, label = torch.from_numpy(head.signed_weights_at(ahead)), torch.from_numpy(head.smoothed_at(ahead))
    logits = torch.randn(2, len(ahead), 1, dtype=torch.float64)
    each = F.binary_cross_entropy_with_logits(logits[..., 0], label.expand(2, -1), reduction="none") * weight.abs()
    labels = torch.stack([weight, label], dim=1)
    torch.testing.assert_close(head.loss(logits, labels), each[:, :-1].mean())
    assert head.loss_denominator(labels) == len(ahead) - 1


@pytest.mark.slow
def test_an_early_warning_learns_from_smoothed_labels():
    train = fitted_case("early_warning").train
    small = SMALL | {"max_epochs": 1, "distillation": 0.0}
    plain, smooth = (cg.GRUEarlyWarning(**small, label_smoothing=rate).fit(train, verbose=False) for rate in (0.0, 0.2))
    assert smooth.head_.smoothing_rate == 0.2
    assert plain.head_.smoothing_rate == 0.0
    assert np.abs(plain.predict_proba(train) - smooth.predict_proba(train)).max() > 1e-4
    with pytest.raises(cg.ClinicalGRUError, match="label_smoothing as a number of 0 or more"):
        cg.GRUEarlyWarning(**small, label_smoothing=-1.0).fit(train, verbose=False)


@pytest.mark.slow
def test_weighed_steps_leave_risks_at_the_share_of_steps_with_a_warning_due():
    """Weighing lifts risks while training; afterwards they are set back, by what the shares say."""
    stays = replace(
        fitted_case("early_warning").train, task=replace(task_of("early_warning"), utility_function="physionet2019")
    )
    model = cg.GRUEarlyWarning(**SMALL | {"max_epochs": 8, "distillation": 0.0}).fit(stays, verbose=False)
    labels = model.head_.step_labels(stays)
    mean = model.predict_proba(stays)[~np.isnan(labels), 1].mean()
    assert model.head_.log_odds_offset > 0.5
    assert np.nanmean(labels) / 2 < mean < np.nanmean(labels) * 2


def test_a_regression_gives_back_the_distribution_it_learned():
    chance = np.random.default_rng(1)
    outcome = chance.lognormal(1, 0.7, 5000)
    head = Regression.fit_targets(outcome_of(*outcome))
    even = np.full((1, head.n_outputs), 1 / head.n_outputs)
    assert head.mean(even)[0] == pytest.approx(outcome.mean(), rel=0.02)
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(head.quantiles(even, levels)[0], np.quantile(outcome, levels), rtol=0.05)


def test_a_regression_interval_holds_what_it_was_calibrated_for():
    """Whatever the network has learned, outcomes of like stays lie in it as often as said (split conformal)."""
    case = fitted_case("regression")
    model = copy(case.model).calibrate(case.test, coverage=0.8)
    low, high = model.predict_interval(case.test).T
    inside = np.mean((case.test.outcome >= low) & (case.test.outcome <= high))
    assert inside == pytest.approx(0.8, abs=1.5 / len(case.test))


@pytest.mark.slow
@pytest.mark.parametrize("sharper", [1.0, 4.0])
def test_intervals_of_each_variable_hold_what_they_were_calibrated_for(sharper):
    """Split conformal by variable: whatever the network says of its own spreads, and whatever was learned before."""
    case = fitted_case("forecast")
    model, names = copy(case.model), [variable.name for variable in case.test.variables]
    model.head_ = replace(model.head_, interval_scale=(1 / sharper,) * len(names))

    def held(*, ends):
        judged = model.expected(case.test, coverage=0.8).dropna(subset="median")
        often = judged[judged.groupby("variable")["value"].transform("size") >= FEWEST]
        inside = often["anomaly"] <= -np.log(0.2) * (1 if ends else 1 - 1e-4)
        between = (often["value"] >= often["low"]) & (often["value"] <= often["high"])
        assert not ends or (inside & ~between).mean() < 0.005  # beyond all that was trained on
        return inside.groupby(often["variable"]).agg(["mean", "size"])

    before = held(ends=True)["mean"]
    assert before.max() - before.min() > 0.02
    model.calibrate(case.test, coverage=0.8)
    assert held(ends=True)["mean"].min() >= 0.8
    after = held(ends=False)
    assert (after["mean"] <= (0.8 * (after["size"] + 1) + 1) / after["size"]).all()
    others = {model.interval_scale_[name] for name in names if name not in before.index}
    assert len(others) == 1  # of all together


@pytest.mark.slow
def test_an_interval_of_what_never_changes_keeps_some_width():
    """Else its first change would be infinitely odd."""
    case = fitted_case("forecast")
    model, variable = copy(case.model), case.test.variable
    first = np.flatnonzero(variable == np.bincount(variable).argmax())
    value = case.test.value.copy()
    value[first] = np.median(value[first])
    flat = replace(case.test, value=value)
    name = case.test.variables[variable[first[0]]].name
    assert model.calibrate(flat).interval_scale_[name] >= MIN_INTERVAL_SCALE
    assert np.isfinite(model.anomaly_scores(case.test)[case.test.variable == variable[first[0]]]).any()


def test_probability_below_and_quantiles_are_inverse():
    head = Regression((0.0, 1.0, 3.0, 7.0), (0.5, 2.0, 5.0))
    probability = np.array([[0.2, 0.5, 0.3]])
    for level in (0.1, 0.2, 0.6, 0.95):
        value = head.quantiles(probability, np.array([level]))[:, 0]
        assert head.below(probability, value)[0] == pytest.approx(level)


def test_an_absurd_outcome_moves_only_its_own_bin():
    plain = np.arange(1.0, 101.0)
    absurd = np.where(plain == 100, 1e9, plain)
    one, other = (Regression.fit_targets(outcome_of(*values)) for values in (plain, absurd))
    assert one.means[:-1] == other.means[:-1]


def test_whole_days_with_many_ties_make_fewer_bins_and_none_that_is_empty():
    days = np.repeat([1.0, 2.0, 3.0, 9.0], [500, 300, 100, 10])
    head = Regression.fit_targets(outcome_of(*days))
    assert all(np.isfinite(head.means))
    assert len(head.edges) == len(head.means) + 1
    assert len(set(np.round(head.means, 6))) == len(head.means) == 3  # the 9 of ten patients alone would name them


def test_what_comes_next_is_the_next_step_of_the_same_stay():
    """Three stays, looked up step by step in the dense view."""
    case = fitted_case("forecast")
    stays = case.test[np.argsort(case.test.n_steps)[-3:]]
    network, head = case.model.network_, case.model.head_
    batch = network.make_batch(stays, per_step=True)
    target = head.labels(stays, batch).numpy()
    values, _ = to_dense(stays[batch.order])
    scale = network.scaler.value
    for row in range(0, len(target), 7):
        stay, step = int(batch.point_stay[row]), int(batch.point_number[row])
        ahead = values[stay, step + 1] if step + 1 < values.shape[1] else np.full(values.shape[2], np.nan)
        score = scale(torch.from_numpy(ahead)[None]).numpy()[0]
        np.testing.assert_allclose(target[row, 0], score, atol=1e-6)


def test_a_forecast_likelihood_is_that_of_a_laplace_distribution():
    scale = SimpleNamespace(knots=torch.zeros(1, 3))
    head, logits = Forecast(scale), torch.tensor([[[0.5, np.log(2.0)]]])
    target = torch.tensor([[[1.0], [0.2]]])  # the next score, and the last
    expected = -torch.distributions.Laplace(0.2 + 0.5, 2.0).log_prob(torch.tensor(1.0))
    assert head.loss(logits, target).item() == pytest.approx(expected.item(), abs=1e-6)


def test_weights_make_all_variables_of_a_forecast_teach_alike_and_one_of_none_nothing():
    """With the inverse of how often each was measured, the loss is the mean of the losses of the variables."""
    target = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
    observed = torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1]]).bool()
    target[:, 0][~observed] = torch.nan
    logits = torch.zeros(2, 6, 6, requires_grad=True)
    scale = SimpleNamespace(knots=torch.zeros(3, 3))
    alone = [Forecast(scale, tuple(np.eye(3)[i])).loss(logits, target).item() for i in range(2)]
    both = Forecast(scale, (1 / 5, 1 / 2, 0.0))
    loss = both.loss(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(np.mean(alone), abs=1e-6)
    assert both.loss_denominator(target) == pytest.approx(2)
    assert (logits.grad[..., 2] == 0).all()
    assert (logits.grad[..., 0] != 0).any()
    assert torch.isfinite(both.loss(logits, torch.full_like(target, torch.nan)))


def test_the_shares_of_processes_make_up_the_whole_loss_of_a_forecast():
    """Shares in which unlike much is measured next, of unlike weight."""
    chance = torch.Generator().manual_seed(0)
    target, logits = torch.randn(8, 2, 3, generator=chance), torch.randn(2, 8, 6, generator=chance)
    target[2:7, 0, :2] = torch.nan
    head = Forecast(SimpleNamespace(knots=torch.zeros(3, 3)), (1.0, 0.3, 0.1))
    share, whole = [slice(0, 3), slice(3, 8)], head.loss(logits, target)
    parts = [
        shard_loss(
            head.loss(logits[:, rows], target[rows]), head.loss_denominator(target[rows]), head.loss_denominator(target)
        )
        for rows in share
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-6)


@pytest.mark.slow
def test_what_is_measured_a_quarter_as_often_weighs_twice_as_much_and_what_hardly_is_nothing():
    case = fitted_case("forecast")
    head = cg.GRUForecaster(**SMALL | {"max_epochs": 1}).fit(case.train, validation=case.test, verbose=False).head_
    again = measured(case.train)
    count = again["variable"][again["later"] & again["last"].notna()].value_counts()
    weight = dict(zip([v.name for v in case.train.variables], head.variable_weights, strict=True))
    learned = {name: weight[name] ** 2 * count[name] for name in weight if count.get(name, 0) >= FEWEST}
    assert 0 < len(learned) < len(weight)
    assert max(learned.values()) == pytest.approx(min(learned.values()))
    assert {name for name in weight if weight[name] == 0} == set(weight) - set(learned)


def test_a_forecaster_trains_more_on_rare_measurements(monkeypatch):
    """One step of each stay an epoch: far more often one before a seldom variable than by plain chance."""
    case, found = fitted_case("forecast"), {True: [], False: []}
    make_batch = ClinicalGRU.make_batch

    def watched(network, stays, *, sample=None, **options):
        made = make_batch(network, stays, sample=sample, **options)
        place, there = next_rows(made)
        follows = (made.mask[place] * there[:, None])[made.point_row]
        found[sample is not None].append(follows)
        return made

    monkeypatch.setattr(ClinicalGRU, "make_batch", watched)
    model = cg.GRUForecaster(**SMALL | {"max_steps_per_stay": 1, "measurement_dropout": 0.0})
    model.fit(case.train, validation=case.test, verbose=False)
    drawn, every = (torch.cat(found[sampled]).mean(dim=0).numpy() for sampled in (True, False))
    weight = np.array(model.head_.variable_weights)
    seldom = weight == weight.max()
    assert drawn[seldom] > 2 * every[seldom]


def test_members_of_a_forecast_are_as_far_from_their_middle_as_drawn_values_are():
    head = Forecast(SimpleNamespace(knots=torch.zeros(1, 3)))
    members = torch.tensor([[[0.4, np.log(0.5)]], [[-1.0, np.log(1.5)]]])
    middle, spread = head.predict(head.aggregate_members(members))[0, :, 0].tolist()
    chance = np.random.default_rng(0)
    drawn = np.concatenate([chance.laplace(0.4, 0.5, 400_000), chance.laplace(-1.0, 1.5, 400_000)])
    assert middle == pytest.approx(-0.3)
    assert spread == pytest.approx(np.abs(drawn - middle).mean(), rel=5e-3)


def test_auxiliary_outcomes_are_found_by_stay_and_unknown_where_they_have_no_row():
    import pandas as pd

    case = fitted_case("regression")
    stays = case.train[:20]
    table = pd.DataFrame({"two": np.arange(10) % 2.0, "number": np.arange(10.0)}, index=stays.stay[:10])
    auxiliary = AuxiliaryTargets.fit(table, stays)
    assert auxiliary.is_binary.tolist() == [True, False]
    unknown = case.model.network_.make_batch(stays[10:])
    assert auxiliary.loss(torch.randn(2, 10, 2), stays[10:], unknown).item() == 0
    known = case.model.network_.make_batch(stays[:10])
    right = torch.stack(
        [torch.where(auxiliary.normal_scores[:, 0] > 0, 20.0, -20.0), auxiliary.normal_scores[:, 1]], dim=1
    )
    assert auxiliary.loss(right[known.order][None], stays[:10], known).item() < 1e-6


@pytest.mark.slow
def test_joint_training_changes_the_weights_but_not_what_is_asked(parts):
    import pandas as pd

    train, tune, _, test = parts
    table = pd.DataFrame({"count": train.n_measurements.astype(float)}, index=train.stay)
    alone = cg.GRUClassifier(**SMALL).fit(train, validation=tune, verbose=False)
    joint = cg.GRUClassifier(**SMALL, forecast_weight=0.5).fit(train, validation=tune, auxiliary=table, verbose=False)
    assert joint.predict_proba(test).shape == (len(test), 2)
    assert np.abs(joint.predict_proba(test) - alone.predict_proba(test)).max() > 1e-4
    assert [entry.shape for entry in joint.network_.state_dict().values()] == [
        entry.shape for entry in alone.network_.state_dict().values()
    ]
    assert abs(cg.explain(joint, test[:1]).completeness_gap) < 0.01
    nothing = cg.GRUClassifier(**SMALL).fit(train, validation=tune, auxiliary=table[[]], verbose=False)
    np.testing.assert_array_equal(nothing.predict_proba(test), alone.predict_proba(test))


def test_a_network_left_alone_answers_as_before(parts):
    """Auxiliary targets are removed; the main output is unchanged, bit for bit."""
    shape = NetworkSpec(
        len(parts[0].variables), n_categories(parts[0].static_variables), outputs=3, forecasts=4, hidden_size=4
    )
    network = ClinicalGRU(shape).eval()
    network.scaler.fit(parts[0])
    alone, batch = network.without_auxiliary(1).eval(), network.make_batch(parts[3])
    assert (alone.spec.outputs, alone.spec.forecasts) == (1, 0)
    with torch.no_grad():
        assert torch.equal(alone(batch), network(batch)[..., :1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task_type": "survival", "outcome": "dead"}, "outcome_time for survival"),
        (
            {"task_type": "early_warning", "outcome": "septic", "outcome_time": "onset"},
            "got a task without horizon_hours",
        ),
        ({"task_type": "early_warning", "outcome": "septic", "horizon_hours": 6}, "outcome_time"),
        ({"task_type": "multilabel", "outcome": "dead"}, "two outcomes or more"),
        ({"task_type": "binary", "outcome": ("a", "b")}, "one outcome; got 2"),
        ({"task_type": "forecast", "outcome": "dead"}, "no outcome"),
        ({"task_type": "regression", "outcome": "days", "outcome_threshold": 3}, "no outcome_threshold"),
        ({"task_type": "binary", "outcome": "dead", "max_late_hours": 3}, "max_late_hours in early_warning only"),
        ({"task_type": "binary", "outcome": "dead", "outcome_time": "t", "horizon_hours": -6}, "a horizon above 0"),
        (
            {"task_type": "survival", "outcome": "d", "outcome_time": "t", "survival_horizons_hours": (5, 2)},
            "rising hours",
        ),
        (
            {"task_type": "binary", "outcome": "dead", "utility_function": "physionet2019"},
            "utility_function in early_warning only",
        ),
        (
            {
                "task_type": "early_warning",
                "outcome": "d",
                "outcome_time": "t",
                "horizon_hours": 6,
                "utility_function": "any",
            },
            "physionet2019, or nothing",
        ),
        ({"task_type": "guess", "outcome": "dead"}, "a task_type among"),
    ],
)
def test_a_task_that_asks_for_the_impossible_is_refused(fields, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.Task("impossible", window_hours=(0, 24), **fields)


def test_tasks_of_every_kind_come_back_from_their_fields():
    for kind in TASKS:
        task = task_of(kind)
        assert cg.Task.from_dict(task.to_dict()) == task


def test_an_estimator_of_another_kind_is_refused_before_training():
    case = fitted_case("regression")
    with pytest.raises(cg.ClinicalGRUError, match="kind binary or multiclass for GRUClassifier; got regression"):
        cg.GRUClassifier().fit(case.train)


@pytest.mark.slow
def test_an_empty_tune_part_and_a_class_of_one_part_only_are_refused():
    case = fitted_case("multiclass")
    with pytest.raises(cg.ClinicalGRUError, match=r"validation stays; got \d+ and 0"):
        cg.GRUClassifier(**SMALL).fit(case.train, validation=case.test[:0])
    rare = case.train[case.train.outcome < 2]
    with pytest.raises(cg.ClinicalGRUError, match="of other classes"):
        cg.GRUClassifier(**SMALL).fit(rare, validation=case.test)


def test_the_flow_counts_who_cannot_be_asked():
    events = cohort_of_all_tasks()
    survival = dict(cg.select(events, task_of("survival", window_hours=(0.0, 60.0))).flow)
    assert survival["outcome not yet occurred"] < survival["outcome recorded (dead)"]
    assert survival["followed beyond the prediction"] < survival["outcome not yet occurred"]
    warned = cg.select(events, task_of("early_warning", window_hours=(20.0, 48.0), max_late_hours=0.0))
    assert (warned.outcome > 20).all()
    labels = cg.select(events, task_of("multilabel"))
    assert labels.outcome.shape == (len(labels), 2)
    assert np.isnan(labels.outcome).any()
    assert not np.isnan(labels.outcome).all(axis=1).any()


def test_the_loss_of_a_number_is_the_mean_log_loss_below_each_edge():
    rng = np.random.default_rng(0)
    head = Regression((0.0, 1.0, 2.0, 4.0, 9.0), (0.5, 1.5, 3.0, 6.0))
    outcome, logits = rng.uniform(-1, 10, 50), rng.normal(size=(3, 50, 4))
    outcome[:3] = (1.0, 2.0, 4.0)  # on an edge: below it
    below = softmax(logits, axis=-1).cumsum(axis=-1)[..., :-1]
    expected = [
        log_loss(outcome <= edge, below[member, :, place], labels=[False, True])
        for member in range(3)
        for place, edge in enumerate(head.edges[1:-1])
    ]
    assert head.loss(torch.tensor(logits), torch.tensor(outcome)).item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_a_distant_bin_is_more_wrong_than_a_neighbour_and_extreme_logits_keep_a_gradient():
    head = Regression((0.0, 1.0, 2.0, 3.0, 4.0), (0.5, 1.5, 2.5, 3.5))
    logits = (10 * torch.eye(4))[None].requires_grad_()
    by_bin = torch.stack([head.loss(logits[:, [place]], torch.tensor([0.5])) for place in range(4)])
    assert (by_bin.diff() > 1).all()
    extreme = torch.tensor([[[-30.0, 0.0, 30.0, 0.0]]], requires_grad=True)
    head.loss(extreme, torch.tensor([0.5])).backward()
    assert extreme.grad[0, 0, 0] < 0 < extreme.grad[0, 0, 2]


def test_few_stays_make_one_bin_and_a_loss_of_0():
    head, logits = Regression.fit_targets(outcome_of(*range(12))), torch.zeros(2, 12, 1, requires_grad=True)
    loss = head.loss(logits, torch.arange(12.0))
    loss.backward()
    assert (loss.item(), logits.grad.abs().sum().item(), head.n_outputs) == (0, 0, 1)


def test_the_loss_of_a_number_is_least_at_the_true_distribution():
    head, share = Regression((0.0, 1.0, 2.0, 3.0), (0.5, 1.5, 2.5)), torch.tensor([0.2, 0.5, 0.3])
    outcome = torch.tensor([0.5] * 2 + [1.5] * 5 + [2.5] * 3)
    logits = share.log().clone().requires_grad_()
    head.loss(logits.expand(1, 10, 3), outcome).backward()
    assert logits.grad.abs().max() < 1e-6
