"""The synthetic cohort: known truth, plausible records, and data errors that are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import clinicalgru as cg
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.simulate.observation import OTHER_SITES, PANELS
from clinicalgru.data.simulate.signals import SIGNALS
from clinicalgru.data.simulate.simulate import DRIVERS, SimulatedCohort, simulate
from clinicalgru.errors import ArgumentError

BEDSIDE = {name for panel in PANELS if panel.issued == (0.0, 0.0) for name in panel.signals}


@pytest.fixture(scope="module")
def cohort() -> SimulatedCohort:
    return simulate(2000, random_state=1)


@pytest.fixture(scope="module")
def numbers(cohort: SimulatedCohort) -> pd.DataFrame:
    """Numeric measurements with hours since the stay's start, in the dictionary's units as `own`."""
    rows = cohort.measurements[~cohort.measurements["variable"].isin(["diagnosis", "drug"])]
    start = cohort.stays.set_index("stay_id")["start"]
    hours = (rows["time"] - rows["stay_id"].map(start)).dt.total_seconds() / 3600
    return rows.assign(hours=hours, own=in_own_units(rows))


def in_own_units(rows: pd.DataFrame) -> pd.Series:
    dictionary, own = Dictionary.load(), pd.Series(np.nan, index=rows.index)
    for (name, unit), part in rows.groupby(["variable", "unit"]):
        own[part.index] = dictionary[str(name)].conversion(str(unit)).apply(part["value"])
    return own


def outcome(cohort: SimulatedCohort) -> pd.Series:
    return cohort.outcomes.set_index("stay_id")["in_hospital_death"]


def test_the_same_seed_gives_the_same_cohort_and_another_seed_another() -> None:
    one, same, other = simulate(60, random_state=4), simulate(60, random_state=4), simulate(60, random_state=5)
    for name in ("measurements", "stays", "outcomes", "truth"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(same, name))
    assert not one.truth["risk"].equals(other.truth["risk"])


@pytest.mark.slow
def test_about_one_in_eight_dies_and_the_true_risk_says_so(cohort: SimulatedCohort) -> None:
    assert cohort.truth["risk"].mean() == pytest.approx(0.12, abs=1e-9)
    assert outcome(cohort).mean() == pytest.approx(0.12, abs=0.025)


def test_the_true_risk_ranks_deaths_well_but_not_perfectly(cohort: SimulatedCohort) -> None:
    truth = cohort.truth.set_index("stay_id")["risk"]
    known = outcome(cohort).dropna()
    assert 0.84 < roc_auc_score(known, truth[known.index]) < 0.94


def test_the_shares_of_the_drivers_and_a_constant_make_the_true_logit(cohort: SimulatedCohort) -> None:
    constant = cohort.truth["logit"] - cohort.truth[list(DRIVERS)].sum(axis=1)
    np.testing.assert_allclose(constant, constant.iloc[0], atol=1e-9)
    np.testing.assert_allclose(cohort.truth["risk"], 1 / (1 + np.exp(-cohort.truth["logit"])), atol=1e-12)
    spread = cohort.truth[list(DRIVERS)].std(ddof=0)
    np.testing.assert_allclose(spread, list(DRIVERS.values()), atol=1e-9)


def test_where_lactate_decides_the_measured_lactate_follows_the_true_logit() -> None:
    cohort = simulate(800, random_state=2, drivers={"lactate": 3.0})
    assert list(cohort.truth.columns) == ["stay_id", "severity", "logit", "risk", "lactate"]
    assert dict(cohort.drivers) == {"lactate": 3.0}
    lactate = cohort.measurements[cohort.measurements["variable"] == "lactate"]
    last = lactate.assign(own=in_own_units(lactate)).groupby("stay_id")["own"].last()
    assert last.corr(cohort.truth.set_index("stay_id")["logit"], method="spearman") > 0.85


def test_without_drivers_everyone_has_the_same_risk() -> None:
    assert simulate(50, drivers={}).truth["risk"].to_numpy() == pytest.approx(np.full(50, 0.12))


@pytest.mark.slow
def test_the_sicker_are_measured_more_often(cohort: SimulatedCohort, numbers: pd.DataFrame) -> None:
    severity = cohort.truth.set_index("stay_id")["severity"]
    hours = numbers.groupby("stay_id")["hours"].max()
    for name, least in {"heart_rate": 0.4, "urine_output": 0.2, "creatinine": 0.2, "lactate": 0.3}.items():
        per_hour = numbers[numbers["variable"] == name].groupby("stay_id").size() / hours
        assert per_hour.corr(severity, method="spearman") > least
    assert 150 < numbers.groupby("stay_id").size().median() < 400


@pytest.mark.slow
def test_every_variable_and_unit_is_in_the_dictionary(cohort: SimulatedCohort) -> None:
    dictionary = Dictionary.load()
    assert set(cohort.measurements["variable"]) == {*SIGNALS, "diagnosis", "drug"} <= set(dictionary)
    assert {dictionary[name].variable_type for name in ("diagnosis", "drug")} == {"code"}
    static_variables = cohort.stays.columns.drop(["patient_id", "stay_id", "start", "end"])
    for name in static_variables:
        low, high = dictionary[name].plausible or (1, 4)
        assert dictionary[name].static
        assert cohort.stays[name].dropna().between(low, high).all()


@pytest.mark.slow
def test_exactly_the_planted_values_are_implausible(cohort: SimulatedCohort, numbers: pd.DataFrame) -> None:
    dictionary = Dictionary.load()
    low, high = (numbers["variable"].map({n: (dictionary[n].plausible or (0, 0))[i] for n in SIGNALS}) for i in (0, 1))
    outside = (numbers["own"] < low) | (numbers["own"] > high)
    assert outside.sum() == cohort.planted["implausible value"] == 100


def test_empty_and_double_values_silent_stays_and_unknown_outcomes_are_counted(
    cohort: SimulatedCohort, numbers: pd.DataFrame
) -> None:
    assert numbers["value"].isna().sum() == cohort.planted["empty value"] == 100
    again = numbers.duplicated(["stay_id", "variable", "time"])
    assert not numbers.duplicated(["stay_id", "variable", "time", "value"]).any()
    assert again.sum() == cohort.planted["second value at one instant"] == 100
    silent = ~cohort.stays["stay_id"].isin(cohort.measurements["stay_id"].unique())
    assert silent.sum() == cohort.planted["stay without rows"] == 5
    assert outcome(cohort).isna().sum() == cohort.planted["outcome unknown"] == 20


@pytest.mark.parametrize("name", sorted(OTHER_SITES))
def test_both_sites_find_the_same_in_the_same_patients(name: str, numbers: pd.DataFrame) -> None:
    site, variable = OTHER_SITES[name], Dictionary.load()[name]
    home = variable.conversion(SIGNALS[name].unit).apply(37.0)
    assert variable.conversion(site.unit).apply(37.0 * site.factor + site.offset) == pytest.approx(home, rel=1e-3)
    medians = numbers[numbers["variable"] == name].groupby("unit")["own"].median()
    assert len(medians) == 2
    assert medians.max() / medians.min() < 1.2


def test_laboratory_results_are_known_later_and_bedside_signs_at_once(numbers: pd.DataFrame) -> None:
    delay = (numbers["available_at"] - numbers["time"]).dt.total_seconds() / 3600
    bedside = numbers["variable"].isin(BEDSIDE)
    assert (delay[bedside] == 0).all()
    assert delay[~bedside].between(0.3, 3.02).all()


def test_nothing_is_charted_before_arrival_after_departure_or_after_the_record(cohort: SimulatedCohort) -> None:
    stays = cohort.stays.set_index("stay_id")
    rows = cohort.measurements.join(stays[["start", "end"]], on="stay_id")
    assert (rows["time"] >= rows["start"]).all()
    assert (rows["time"] < rows["end"]).all()
    assert (rows["time"] < rows["start"] + pd.Timedelta("48h")).all()


def test_nobody_returns_after_death_or_is_in_two_beds_at_once(cohort: SimulatedCohort) -> None:
    stays = cohort.stays.merge(cohort.outcomes).sort_values(["patient_id", "start"])
    following = stays["patient_id"] == stays["patient_id"].shift(-1)
    assert following.sum() > 100
    assert not (stays["in_hospital_death"] == 1)[following].any()
    assert (stays["start"].shift(-1) > stays["end"])[following].all()
    assert (stays["sex"].groupby(stays["patient_id"]).nunique() <= 1).all()


def test_pressures_keep_their_order(numbers: pd.DataFrame) -> None:
    clean = numbers[~numbers.duplicated(["stay_id", "variable", "time"], keep=False)]
    together = clean.pivot(index=["stay_id", "time"], columns="variable", values="own")[["sbp", "map", "dbp"]].dropna()
    ordered = (together["sbp"] > together["map"]) & (together["map"] > together["dbp"])
    assert ordered.mean() > 0.99


def test_vasopressors_are_given_to_those_with_low_pressure(cohort: SimulatedCohort, numbers: pd.DataFrame) -> None:
    lowest = numbers[numbers["variable"] == "map"].groupby("stay_id")["own"].min()
    treated = cohort.measurements.loc[cohort.measurements["code"].isin(["C01CA03", "C01CA24"]), "stay_id"].unique()
    assert 0.1 < len(treated) / len(lowest) < 0.4
    assert lowest[lowest.index.isin(treated)].median() < lowest[~lowest.index.isin(treated)].median() - 10


def test_codes_stand_in_their_own_column_and_chronic_ones_return_with_the_patient(cohort: SimulatedCohort) -> None:
    coded = cohort.measurements["variable"].isin(["diagnosis", "drug"])
    assert cohort.measurements["code"].notna().equals(coded)
    assert cohort.measurements.loc[coded, ["value", "unit"]].isna().all(axis=None)
    diabetic = set(cohort.measurements.loc[cohort.measurements["code"] == "E11.9", "stay_id"])
    entered = cohort.stays[cohort.stays["stay_id"].isin(cohort.measurements["stay_id"].unique())]
    entered = entered[entered["end"] - entered["start"] >= pd.Timedelta("12h")]
    assert (entered["stay_id"].isin(diabetic).groupby(entered["patient_id"]).nunique() == 1).all()


def test_a_written_cohort_says_that_it_is_synthetic_and_reads_back_equal(tmp_path: Path) -> None:
    cohort = simulate(30, random_state=7)
    folder = cohort.write(tmp_path / "cohort")
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.txt",
        "measurements.parquet",
        "outcomes.parquet",
        "stays.parquet",
    ]
    assert (folder / "README.txt").read_text() == "SYNTHETIC: synthetic cohort, 30 stays, seed 7 (no real patients)\n"
    for name in ("measurements", "stays", "outcomes"):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), getattr(cohort, name))
    assert cohort.stays["patient_id"].str.len().eq(8).all()
    assert cohort.stays["patient_id"].str.startswith("0").all()


@pytest.mark.parametrize("hours", [0.5, 7.5, 100.0])
def test_one_stay_and_any_length_of_record_will_do(hours: float) -> None:
    cohort = simulate(1, hours=hours)
    assert len(cohort.stays) == len(cohort.outcomes) == len(cohort.truth) == 1
    assert cohort.truth["risk"].to_numpy() == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_stays": 0}, "Expected n_stays as a whole number of 1 or more; got 0"),
        ({"n_stays": 5, "hours": 0}, "Expected hours as a number above 0; got 0"),
        ({"n_stays": 5, "drivers": {"lactat": 1.0}}, "got lactat. Choose from these names"),
        ({"n_stays": 5, "drivers": {"age": float("nan")}}, "Expected finite weights"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_a_reason(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        simulate(**arguments)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_synthetic_cohort_is_known_from_its_table_and_its_file(tmp_path):
    cohort = cg.simulate(30, random_state=7)
    tables = {"stays": cohort.stays, "outcomes": cohort.outcomes}
    folder = cohort.write(tmp_path / "cohort")
    for extract in (cohort, cohort.measurements, folder / "measurements.parquet"):
        events = cg.read_events(extract, **({} if extract is cohort else tables))
        assert (events.simulated, events.source) == (True, cohort.description)
    copied = tmp_path / "measurements.parquet"  # without the file that says so
    copied.write_bytes((folder / "measurements.parquet").read_bytes())
    assert not cg.read_events(copied, **tables).simulated
    assert not cg.read_events(pd.DataFrame(dict(cohort.measurements)), **tables).simulated


def test_sepsis_begins_where_the_outcomes_say_and_shows_in_the_measurements() -> None:
    plain, septic = simulate(400, random_state=3), simulate(400, random_state=3, sepsis=0.4)
    assert list(plain.outcomes) == ["stay_id", "patient_id", "in_hospital_death"]
    onset = septic.outcomes.set_index("stay_id")["sepsis_onset_hours"]
    assert (septic.outcomes["sepsis"] == onset.notna().to_numpy()).all()
    assert 0.25 < septic.outcomes["sepsis"].mean() <= 0.4
    rows = septic.measurements.query("variable == 'heart_rate'").merge(septic.stays[["stay_id", "start"]], on="stay_id")
    since = (rows["time"] - rows["start"]).dt.total_seconds() / 3600 - rows["stay_id"].map(onset)
    late = rows["value"][since.between(6, 18)].mean()
    assert late > rows["value"][since.between(-18, -6)].mean() + 5
    with pytest.raises(ArgumentError, match="sepsis"):
        simulate(10, sepsis=1.5)
