"""The simulated ward: known truth, believable charts, and slips that are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.simulate.observation import ABROAD, PANELS
from clinicalgru.data.simulate.physiology import SIGNALS
from clinicalgru.data.simulate.simulate import DRIVERS, Ward, simulate
from clinicalgru.errors import ArgumentError

BEDSIDE = {name for panel in PANELS if panel.issued == (0.0, 0.0) for name in panel.signals}


@pytest.fixture(scope="module")
def ward() -> Ward:
    return simulate(2000, seed=1)


@pytest.fixture(scope="module")
def numbers(ward: Ward) -> pd.DataFrame:
    """Numeric measurements with hours since the stay's start, in the dictionary's units as `own`."""
    rows = ward.measurements[~ward.measurements["variable"].isin(["diagnosis", "drug"])]
    start = ward.stays.set_index("stay_id")["start"]
    hours = (rows["time"] - rows["stay_id"].map(start)).dt.total_seconds() / 3600
    return rows.assign(hours=hours, own=in_own_units(rows))


def in_own_units(rows: pd.DataFrame) -> pd.Series:
    dictionary, own = Dictionary.load(), pd.Series(np.nan, index=rows.index)
    for (name, unit), part in rows.groupby(["variable", "unit"]):
        own[part.index] = dictionary[str(name)].conversion(str(unit)).apply(part["value"])
    return own


def outcome(ward: Ward) -> pd.Series:
    return ward.outcomes.set_index("stay_id")["in_hospital_death"]


def test_the_same_seed_gives_the_same_ward_and_another_seed_another() -> None:
    one, same, other = simulate(60, seed=4), simulate(60, seed=4), simulate(60, seed=5)
    for name in ("measurements", "stays", "outcomes", "truth"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(same, name))
    assert not one.truth["risk"].equals(other.truth["risk"])


@pytest.mark.slow
def test_about_one_in_eight_dies_and_the_true_risk_says_so(ward: Ward) -> None:
    assert ward.truth["risk"].mean() == pytest.approx(0.12, abs=1e-9)
    assert outcome(ward).mean() == pytest.approx(0.12, abs=0.025)


def test_the_true_risk_ranks_deaths_well_but_not_perfectly(ward: Ward) -> None:
    truth = ward.truth.set_index("stay_id")["risk"]
    known = outcome(ward).dropna()
    assert 0.84 < roc_auc_score(known, truth[known.index]) < 0.94


def test_the_shares_of_the_drivers_and_a_constant_make_the_true_logit(ward: Ward) -> None:
    constant = ward.truth["logit"] - ward.truth[list(DRIVERS)].sum(axis=1)
    np.testing.assert_allclose(constant, constant.iloc[0], atol=1e-9)
    np.testing.assert_allclose(ward.truth["risk"], 1 / (1 + np.exp(-ward.truth["logit"])), atol=1e-12)
    spread = ward.truth[list(DRIVERS)].std(ddof=0)
    np.testing.assert_allclose(spread, list(DRIVERS.values()), atol=1e-9)


def test_where_lactate_decides_the_measured_lactate_follows_the_true_logit() -> None:
    ward = simulate(800, seed=2, drivers={"lactate": 3.0})
    assert list(ward.truth.columns) == ["stay_id", "severity", "logit", "risk", "lactate"]
    assert dict(ward.drivers) == {"lactate": 3.0}
    lactate = ward.measurements[ward.measurements["variable"] == "lactate"]
    last = lactate.assign(own=in_own_units(lactate)).groupby("stay_id")["own"].last()
    assert last.corr(ward.truth.set_index("stay_id")["logit"], method="spearman") > 0.85


def test_without_drivers_everyone_has_the_same_risk() -> None:
    assert simulate(50, drivers={}).truth["risk"].to_numpy() == pytest.approx(np.full(50, 0.12))


@pytest.mark.slow
def test_the_sicker_are_measured_more_often(ward: Ward, numbers: pd.DataFrame) -> None:
    severity = ward.truth.set_index("stay_id")["severity"]
    hours = numbers.groupby("stay_id")["hours"].max()
    for name, least in {"heart_rate": 0.4, "urine_output": 0.2, "creatinine": 0.2, "lactate": 0.3}.items():
        per_hour = numbers[numbers["variable"] == name].groupby("stay_id").size() / hours
        assert per_hour.corr(severity, method="spearman") > least
    assert 150 < numbers.groupby("stay_id").size().median() < 400


@pytest.mark.slow
def test_every_variable_and_unit_is_in_the_dictionary(ward: Ward) -> None:
    dictionary = Dictionary.load()
    assert set(ward.measurements["variable"]) == {*SIGNALS, "diagnosis", "drug"} <= set(dictionary)
    assert {dictionary[name].kind for name in ("diagnosis", "drug")} == {"code"}
    statics = ward.stays.columns.drop(["patient_id", "stay_id", "start", "end"])
    for name in statics:
        low, high = dictionary[name].plausible or (1, 4)
        assert dictionary[name].static
        assert ward.stays[name].dropna().between(low, high).all()


@pytest.mark.slow
def test_exactly_the_planted_values_are_implausible(ward: Ward, numbers: pd.DataFrame) -> None:
    dictionary = Dictionary.load()
    low, high = (numbers["variable"].map({n: (dictionary[n].plausible or (0, 0))[i] for n in SIGNALS}) for i in (0, 1))
    outside = (numbers["own"] < low) | (numbers["own"] > high)
    assert outside.sum() == ward.planted["implausible value"] == 100


def test_empty_and_double_values_silent_stays_and_unknown_outcomes_are_counted(
    ward: Ward, numbers: pd.DataFrame
) -> None:
    assert numbers["value"].isna().sum() == ward.planted["empty value"] == 100
    again = numbers.duplicated(["stay_id", "variable", "time"])
    assert not numbers.duplicated(["stay_id", "variable", "time", "value"]).any()
    assert again.sum() == ward.planted["second value at one instant"] == 100
    silent = ~ward.stays["stay_id"].isin(ward.measurements["stay_id"].unique())
    assert silent.sum() == ward.planted["stay without rows"] == 5
    assert outcome(ward).isna().sum() == ward.planted["outcome unknown"] == 20


@pytest.mark.parametrize("name", sorted(ABROAD))
def test_both_sites_find_the_same_in_the_same_patients(name: str, numbers: pd.DataFrame) -> None:
    site, variable = ABROAD[name], Dictionary.load()[name]
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


def test_nothing_is_charted_before_arrival_after_departure_or_after_the_record(ward: Ward) -> None:
    stays = ward.stays.set_index("stay_id")
    rows = ward.measurements.join(stays[["start", "end"]], on="stay_id")
    assert (rows["time"] >= rows["start"]).all()
    assert (rows["time"] < rows["end"]).all()
    assert (rows["time"] < rows["start"] + pd.Timedelta("48h")).all()


def test_nobody_returns_after_death_or_is_in_two_beds_at_once(ward: Ward) -> None:
    stays = ward.stays.merge(ward.outcomes).sort_values(["patient_id", "start"])
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


def test_vasopressors_are_given_to_those_with_low_pressure(ward: Ward, numbers: pd.DataFrame) -> None:
    lowest = numbers[numbers["variable"] == "map"].groupby("stay_id")["own"].min()
    treated = ward.measurements.loc[ward.measurements["code"].isin(["C01CA03", "C01CA24"]), "stay_id"].unique()
    assert 0.1 < len(treated) / len(lowest) < 0.4
    assert lowest[lowest.index.isin(treated)].median() < lowest[~lowest.index.isin(treated)].median() - 10


def test_codes_stand_in_their_own_column_and_chronic_ones_return_with_the_patient(ward: Ward) -> None:
    coded = ward.measurements["variable"].isin(["diagnosis", "drug"])
    assert ward.measurements["code"].notna().equals(coded)
    assert ward.measurements.loc[coded, ["value", "unit"]].isna().all(axis=None)
    diabetic = set(ward.measurements.loc[ward.measurements["code"] == "E11.9", "stay_id"])
    entered = ward.stays[ward.stays["stay_id"].isin(ward.measurements["stay_id"].unique())]
    entered = entered[entered["end"] - entered["start"] >= pd.Timedelta("12h")]
    assert (entered["stay_id"].isin(diabetic).groupby(entered["patient_id"]).nunique() == 1).all()


def test_a_written_ward_says_that_it_is_simulated_and_reads_back_equal(tmp_path: Path) -> None:
    ward = simulate(30, seed=7)
    folder = ward.write(tmp_path / "ward")
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.txt",
        "measurements.parquet",
        "outcomes.parquet",
        "stays.parquet",
    ]
    assert (folder / "README.txt").read_text() == "SIMULATED: simulated ward, 30 stays, seed 7 (no real patients)\n"
    for name in ("measurements", "stays", "outcomes"):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), getattr(ward, name))
    assert ward.stays["patient_id"].str.len().eq(8).all()
    assert ward.stays["patient_id"].str.startswith("0").all()


@pytest.mark.parametrize("hours", [0.5, 7.5, 100.0])
def test_one_stay_and_any_length_of_record_will_do(hours: float) -> None:
    ward = simulate(1, hours=hours)
    assert len(ward.stays) == len(ward.outcomes) == len(ward.truth) == 1
    assert ward.truth["risk"].to_numpy() == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"n_stays": 0}, "Expected n_stays of at least 1; got 0"),
        ({"n_stays": 5, "hours": 0}, "Expected hours above 0; got 0"),
        ({"n_stays": 5, "drivers": {"lactat": 1.0}}, "got lactat. Choose from these names"),
        ({"n_stays": 5, "drivers": {"age": float("nan")}}, "Expected finite weights"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_a_reason(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        simulate(**arguments)  # type: ignore[arg-type]
