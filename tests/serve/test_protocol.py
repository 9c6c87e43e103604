"""An update against a protocol; membership inference."""

from __future__ import annotations

import json
from html import unescape

import numpy as np
import pytest
from scipy.special import expit

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.errors import ArgumentError, InputError, PrivacyWarning
from clinicalgru.evaluate.logistic import logit
from clinicalgru.serve.privacy_audit import PrivacyAudit, recognised
from clinicalgru.serve.protocol import hold_against, load_protocol

TASK = cg.Task.load("in_hospital_mortality")
CHANCE = np.random.default_rng(0)
RISK = CHANCE.beta(2, 5, 1500)
OUTCOME = (CHANCE.random(1500) < RISK).astype(float)
SEX = np.where(CHANCE.random(1500) < 0.5, "female", "male")


def held(new, protocol, old=RISK, outcome=OUTCOME):
    options = {"patients": np.arange(len(new)), "groups": {"sex": SEX}, "n_resamples": 100}
    return hold_against(load_protocol(protocol), old, new, outcome, **options)


def results(result):
    return dict(zip(result.table["condition"], result.table["result"], strict=True))


@pytest.mark.slow
def test_the_same_model_passes_and_a_worse_or_badly_calibrated_one_fails():
    assert held(RISK, {"subgroups": ["sex"]}).exit_code == 0
    noisy = expit(logit(RISK) + CHANCE.normal(0, 1.5, 1500))
    worse = held(noisy, {})
    assert worse.exit_code == 6
    assert results(worse)["AUROC"] == "fail"
    shifted = held(expit(logit(RISK) + 1), {})
    assert results(shifted)["AUROC"] == "pass"
    assert results(shifted)["Observed : expected of the new model"] == "fail"
    assert "FAIL" in str(shifted)
    assert "# Update: fail" in shifted.to_markdown()
    assert json.dumps(shifted.to_dict())


def test_a_model_that_fails_one_sex_fails():
    for_men = np.where(SEX == "male", CHANCE.permutation(RISK), RISK)
    found = results(held(for_men, {"non_inferiority": {}, "calibration": {}, "subgroups": ["sex"]}))
    assert found == {"sex: female": "pass", "sex: male": "fail"}


@pytest.mark.slow
def test_few_events_and_divisions_that_do_not_exist_are_no_pass():
    few = hold_against(load_protocol({}), RISK[:200], RISK[:200], OUTCOME[:200], patients=np.arange(200), groups={})
    assert few.exit_code == 7
    assert not few.passed
    tiny = {"patients": np.arange(90), "groups": {}, "n_resamples": 20}
    smallest = hold_against(load_protocol({"subgroups": ["sex"]}), RISK[:90], RISK[:90], OUTCOME[:90], **tiny)
    assert results(smallest)["by sex"] == "too few events"
    assert results(held(RISK, {"subgroups": ["site"]}))["by site"] == "fail"


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": 1},
        {"non_inferiority": {"aurocc": 0.1}},
        {"non_inferiority": {"auroc": -0.1}},
        {"min_events": 3},
        {"non_inferiority": {"calibration_slope": 0.1}},
        {"calibration": {"brier": 0.1}},
        {"non_inferiority": {"auroc": float("nan")}},
        {"non_inferiority": {"auroc": float("inf")}},
        {"calibration": {"observed_expected": [1.25, 0.8]}},
        {"non_inferiority": {}, "calibration": {}},
    ],
)
def test_a_protocol_that_says_something_else_is_refused(wrong, tmp_path):
    with pytest.raises(InputError, match="protocol"):
        load_protocol(wrong)
    (tmp_path / "p.yaml").write_text(json.dumps(wrong).replace("NaN", ".nan").replace("Infinity", ".inf"))
    with pytest.raises(InputError, match=r"p\.yaml"):
        load_protocol(tmp_path / "p.yaml")


@pytest.mark.slow
def test_the_command_ends_with_the_result_and_training_patients_are_refused(tmp_path, capsys):
    simulated = cg.simulate(300, random_state=4)
    tables = {"rows": simulated.measurements, "stays": simulated.stays, "outcomes": simulated.outcomes}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    old = cg.SummaryBaseline("logistic regression").fit(cg.select(cg.read_events(cg.simulate(300)), TASK))
    cg.save(old, tmp_path / "old")
    (tmp_path / "p.yaml").write_text("calibration: {}\nmin_events: 20\n")
    files = [f"{tmp_path / name}.csv" for name in tables]
    options = ["--stays", files[1], "--outcomes", files[2], "--protocol", f"{tmp_path}/p.yaml", "--json"]
    options += ["--page", f"{tmp_path}/update.html"]
    with pytest.raises(SystemExit) as ended:
        main(["compare-bundles", f"{tmp_path}/old", f"{tmp_path}/old", files[0], *options])
    assert ended.value.code in (0, 7)
    assert json.loads(capsys.readouterr().out)["conditions"][0]["condition"] == "AUROC"
    page = (tmp_path / "update.html").read_text(encoding="utf-8")
    assert "Death in hospital" in page
    with pytest.raises(InputError, match="used for training or early stopping"):
        cg.compare_bundles(old, old, {}, cg.read_events(cg.simulate(300)))


def test_events_of_few_patients_are_few_and_estimates_are_not_written_as_an_interval():
    stays = {"patients": np.arange(1500) // 100, "groups": {}, "n_resamples": 20}
    repeated = hold_against(load_protocol({}), RISK, RISK, OUTCOME, **stays)
    assert set(repeated.table["result"]) == {"too few events"}
    rows = held(RISK, {"subgroups": ["sex"]}).table.set_index("condition")["found"]
    assert "before" in rows["sex: female"]
    assert " to " not in rows["sex: female"]


def test_the_interval_of_membership_holds_the_rate_that_is_known_from_the_distributions():
    """Losses of others are uniform, those of members a power: at 1 % of the others, 0.01 ** power of the members."""
    rng, repeats = np.random.default_rng(0), 300
    for power, n_others in ((1.0, 100), (1.0, 1000), (0.5, 300)):
        draws = np.array([recognised(rng.random(400) ** (1 / power), rng.random(n_others)) for _ in range(repeats)])
        truth = 0.01**power
        assert ((draws[:, 1] <= truth) & (truth <= draws[:, 2])).mean() >= 0.95
        if power == 1:
            assert draws[:, 0].mean() < 0.01 + 3 * draws[:, 0].std() / np.sqrt(repeats)


class Memory:
    """A model that knows the outcomes of the patients it saw."""

    calibration_patients_ = pretraining_patients_ = ()

    def __init__(self, model, certain):
        self.task_, self.seen_patients_, self.certain = model.task_, model.seen_patients_, certain

    def has_observations(self, stays):
        return np.ones(len(stays), dtype=bool)

    def predict_proba(self, stays):
        sure = self.seen_patients_.includes(stays) & self.certain
        risk = np.where(
            sure, np.clip(stays.outcome, 0.001, 0.999), 0.3 + 0.2 * np.random.default_rng(1).random(len(stays))
        )
        return np.stack([1 - risk, risk], axis=1)


@pytest.mark.slow
def test_a_model_that_remembers_is_found_and_one_that_does_not_is_at_chance():
    stays = cg.select(cg.read_events(cg.simulate(900, random_state=2)), TASK)
    train, other = cg.split_patients(stays, [0.5, 0.5], random_state=0)
    fitted = cg.SummaryBaseline("logistic regression").fit(train)
    with pytest.warns(PrivacyWarning, match="recognised"):
        found = cg.privacy_audit(Memory(fitted, True), train, other)
    assert found.true_positive_rate > 0.9
    blind = cg.privacy_audit(Memory(fitted, False), train, other, warn=False)
    assert blind.low <= 0.01 <= blind.high
    assert blind.auroc == pytest.approx(0.5, abs=0.1)
    assert "false positives" in str(blind)
    with pytest.raises(ArgumentError, match="members"):
        cg.privacy_audit(fitted, other, train)


def test_what_was_not_measured_is_said():
    unknown = PrivacyAudit(float("nan"), float("nan"), float("nan"), 0.5, 600, 50, 600)
    assert unknown.reasons == ["fewer than 100 other patients: not measured"]
    assert unknown.to_dict()["low"] is None


def test_the_page_of_an_update_names_each_condition_and_shows_no_markup_of_others(tmp_path):
    risk, outcome = RISK[:300], OUTCOME[:300]
    asked = load_protocol({"subgroups": ["<b>ward</b>"], "min_events": 20})
    labels = np.where(np.arange(300) % 2, "<script>a</script>", "b")
    result = hold_against(
        asked, risk, risk, outcome, patients=np.arange(300), groups={"<b>ward</b>": labels}, n_resamples=40
    )
    text = result.to_html(tmp_path / "update.html").read_text(encoding="utf-8")
    assert "<script>a" not in text
    assert "<b>ward" not in text
    visible = unescape(text)
    for condition in result.table["condition"]:
        assert condition in visible
    assert result.sentence in visible
