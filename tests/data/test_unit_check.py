"""The unit check: the common swaps are found, clean columns are left in peace, nothing is converted."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.audit.typical_values import typical
from clinicalgru.data.events import Events
from clinicalgru.errors import ArgumentError

PATH = Path(__file__).parents[2] / "benchmarks" / "units.py"
NEAR = ("admission_weight",)  # kg and lb overlap, and a stay has one: the best test at all finds 3 of 4 (see the lab)


@pytest.fixture(scope="module")
def units():
    spec = importlib.util.spec_from_file_location("units", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_usual_values_agree_with_the_dictionary():
    dictionary = cg.Dictionary.load()
    for name, usual in typical().items():
        variable = dictionary[name]
        low, high = variable.plausible
        assert list(usual.quantiles) == sorted(usual.quantiles), name
        assert low <= usual.quantiles[0] < usual.quantiles[-1] <= high, name
        for unit in usual.units:
            assert variable.conversion(unit) != variable.conversion(variable.unit), name
        for density in (usual.density, usual.ratio_density, usual.spike_density):
            assert density.min() >= 0, name
            assert density.sum() * 0.01 == pytest.approx(1), name


@pytest.mark.slow
def test_swaps_of_one_row_in_twenty_are_found_and_clean_columns_are_not_flagged(units):
    events = cg.read_events(cg.simulate(500, random_state=11))
    for name in sorted(set(units.SWAPS) - {*NEAR, "weight"}):
        rows, chance = units.column(events, name), np.random.default_rng(0)
        tables = [units.mixed(units.drawn(rows, 100, chance), name, share, chance) for share in [0.05] * 6 + [0.0] * 6]
        found = units.flagged(tables, name)
        assert all(units.SWAPS[name][0] in flags for flags in found[:6]), name
        assert not any(found[6:]), name


@pytest.mark.slow
def test_near_units_are_found_where_there_are_many_values(units):
    events = cg.read_events(cg.simulate(500, random_state=11))
    for name in NEAR:
        rows, chance = units.column(events, name), np.random.default_rng(0)
        some, none = units.flagged([units.mixed(rows, name, share, chance) for share in (0.1, 0.0)], name)
        assert units.SWAPS[name][0] in some, name
        assert not none


@pytest.mark.slow
def test_digits_tell_a_unit_whose_values_are_usual_in_both():
    """One urea of each patient, in whole mg/dL; a few with a decimal, lower by the factor: nothing else tells."""
    chance = np.random.default_rng(1)
    value = np.round(np.exp(chance.normal(np.log(20), 0.6, 200)))
    alike, lower = value.copy(), value.copy()
    alike[:10] = alike[:10] + 0.5
    lower[:10] = np.round(lower[:10] / 2.8, 1) + 0.04
    flags = [cg.check_units(events_of(column, "bun", "mg/dL")) for column in (value, alike, lower)]
    assert [[flag.other for flag in found] for found in flags] == [[], [], ["mmol/L"]]
    assert flags[2][0].fraction * 200 == pytest.approx(10, abs=3)


def events_of(values: np.ndarray, name: str, unit: str) -> Events:
    rows = {"patient_id": [f"{i}" for i in range(len(values))], "time": 0.0, "variable": name, "value": values}
    return cg.read_events(pd.DataFrame(rows | {"unit": unit}), max_rejected=1)


@pytest.mark.slow
def test_what_the_intake_rejected_is_evidence(cohort):
    rows = cohort.measurements.assign(unit=cohort.measurements["unit"].where(cohort.measurements["unit"] != "°F"))
    events = cg.read_events(rows, stays=cohort.stays)
    (flag,) = cg.check_units(events)
    true = (cohort.measurements["unit"] == "°F").sum()
    assert (flag.variable, flag.other) == ("temperature", "[degF]")
    assert flag.fraction * flag.n_values == pytest.approx(true, rel=0.5)
    assert flag.conversion.apply(98.6) == pytest.approx(37)
    assert "[degF]" in flag.proposal


@pytest.mark.slow
def test_static_covariates_of_the_stays_table_are_looked_at_even_where_they_were_rejected(cohort):
    stays = cohort.stays.assign(height=cohort.stays["height"] / 2.54)
    events = cg.read_events(cohort.measurements, stays=stays, allow="height")
    assert events.stays["height"].notna().sum() == 0
    assert [(flag.variable, flag.other) for flag in cg.check_units(events)] == [("height", "[in_i]")]


@pytest.mark.slow
def test_a_site_is_named(cohort):
    own = cohort.measurements["unit"].eq("°C") & cohort.measurements["stay_id"].isin(
        cohort.stays.loc[cohort.stays["icu_type"] == 2, "stay_id"]
    )
    rows = cohort.measurements.copy()
    rows.loc[own, "value"] = rows.loc[own, "value"] * 1.8 + 32
    flags = cg.check_units(cg.read_events(rows, stays=cohort.stays, max_rejected=1), site_column="icu_type")
    assert [(flag.variable, flag.site) for flag in flags] == [("temperature", "Cardiac Surgery Recovery Unit")]


@pytest.mark.slow
def test_nothing_is_converted(cohort):
    rows = cohort.measurements.assign(unit=None)
    events = cg.read_events(rows, stays=cohort.stays, max_rejected=1)
    before = events.measurements["value"].to_numpy().copy()
    assert cg.check_units(events)
    np.testing.assert_array_equal(events.measurements["value"].to_numpy(), before)


@pytest.mark.slow
def test_fewer_than_a_hundred_values_are_not_judged():
    rows = pd.DataFrame({"patient_id": "1", "time": np.arange(99.0), "variable": "temperature", "value": 98.6})
    assert cg.check_units(cg.read_events(rows, max_rejected=1)) == ()
    rows = pd.DataFrame({"patient_id": "1", "time": np.arange(100.0), "variable": "temperature", "value": 98.6})
    assert len(cg.check_units(cg.read_events(rows, max_rejected=1))) == 1


def test_an_unknown_site_column_is_refused(events):
    with pytest.raises(ArgumentError, match="column of the stays"):
        cg.check_units(events, site_column="hospital")


@pytest.mark.slow
def test_real_columns_are_not_flagged(physionet_2012):
    assert cg.check_units(physionet_2012("b")) == ()
