"""What stops a load: too many rejected rows of those that could be used, and a variable that loses its values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, DictionaryError, InputError


def rows(variable: str, values, unit: str | None = None, first_hour: float = 0.0) -> pd.DataFrame:
    hours = first_hour + np.arange(len(values)) / 60
    return pd.DataFrame(
        {"patient_id": "1", "stay_id": "11", "time": hours, "variable": variable, "value": values, "unit": unit}
    )


def table(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows("heart_rate", np.full(1000, 80.0)), *parts], ignore_index=True)


def in_micromoles(n: int = 20) -> pd.DataFrame:
    return rows("creatinine", np.linspace(80, 140, n))


def test_a_variable_in_another_unit_stops_the_load_and_the_unit_is_proposed():
    with pytest.raises(InputError, match=r"creatinine 20 of 20 \(implausible 20; the values fit umol/L\)") as caught:
        cg.read_events(table(in_micromoles()))
    assert "units={'creatinine': 'umol/L'}" in caught.value.fix
    assert "allow=['creatinine']" in caught.value.fix
    assert "row 1002" in caught.value.where or "row 1000" in caught.value.where
    events = cg.read_events(table(in_micromoles()), units={"creatinine": "umol/L"})
    assert [v.name for v in events.variables] == ["creatinine", "heart_rate"]


def test_an_unknown_spelling_of_a_unit_stops_the_load():
    with pytest.raises(InputError, match=r"platelets 12 of 12 \(unknown unit 12; the values fit 10\*9/L\)") as caught:
        cg.read_events(table(rows("platelets", np.full(12, 200.0), "gizmos")))
    assert "also" in caught.value.fix
    assert "units=" not in caught.value.fix


@pytest.mark.parametrize("allow", ["creatinine", ["creatinine"], {"creatinine", "glucose"}, "all"])
def test_a_load_goes_on_with_allow_and_the_ledger_says_so(allow):
    extract = pd.concat([in_micromoles(300), rows("heart_rate", np.full(100, 80.0))], ignore_index=True)
    ledger = cg.read_events(extract, allow=allow).ledger
    assert ledger.notes["values lost, as allowed: creatinine"] == ledger.rejected["implausible"] == 300
    assert ledger.used + ledger.merged + ledger.static_values + sum(ledger.rejected.values()) == ledger.rows_in == 400


def test_allow_is_of_the_variables_it_names():
    with pytest.raises(InputError, match="creatinine 20 of 20"):
        cg.read_events(table(in_micromoles()), allow=["glucose"])
    with pytest.raises(DictionaryError, match="creatinin"):
        cg.read_events(table(in_micromoles()), allow=["creatinin"])
    with pytest.raises(ArgumentError, match="allow as a list of variables"):
        cg.read_events(table(in_micromoles()), allow=1)


def test_a_few_values_stop_nothing():
    assert cg.read_events(table(in_micromoles(9))).ledger.rejected == {"implausible": 9}
    most = table(rows("glucose", np.full(11, 100.0)), rows("glucose", np.full(10, 1e6), first_hour=1.0))
    assert cg.read_events(most).ledger.rejected == {"implausible": 10}


def test_half_is_the_limit():
    half = table(rows("glucose", np.full(10, 100.0)), rows("glucose", np.full(10, 1e6), first_hour=1.0))
    with pytest.raises(InputError, match=r"glucose 10 of 20 \(implausible 10\)"):
        cg.read_events(half)
    assert cg.read_events(half, max_rejected=0.6).ledger.rejected == {"implausible": 10}


def test_empty_cells_dilute_no_limit():
    bad = pd.concat([rows("heart_rate", np.full(40, 80.0)), rows("glucose", np.full(9, 1e6), first_hour=1.0)])
    with pytest.raises(InputError, match="at most 10% of rows rejected; got 9 of 49"):
        cg.read_events(bad)
    empty = pd.concat([bad, rows("lactate", np.full(1000, np.nan))])
    with pytest.raises(InputError, match="at most 10% of rows rejected; got 9 of 49"):
        cg.read_events(empty)
    wide = pd.DataFrame({"patient_id": "1", "time": np.arange(40.0), "heart_rate": 80.0, "glucose": np.nan})
    wide["glucose"] = wide["glucose"].mask(wide.index < 9, 1e6)
    with pytest.raises(InputError, match="9 of 49"):
        cg.read_events(wide.assign(**dict.fromkeys(("lactate", "sodium", "potassium"), np.nan)), source="wide")


def test_at_one_nothing_stops_a_load():
    assert cg.read_events(in_micromoles(), max_rejected=1).ledger.rejected == {"implausible": 20}
