"""What if: against predictions of stays that were changed by hand; and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import fact, stays_of

import clinicalgru as cg


@pytest.fixture
def what_if(fitted, test_stays):
    return cg.what_if(fitted, test_stays[[2]])


@pytest.fixture
def pulse(what_if):
    """The last heart rate of the stay."""
    return what_if.explanation.measurements.query("variable == 'heart_rate'").iloc[-1]


def test_a_change_gives_the_risk_of_the_stay_changed_by_hand(what_if, fitted, test_stays, pulse):
    why = what_if.change(hours=pulse["hours"], variable="heart_rate", value=171)
    value = test_stays[[2]].value.copy()
    value[int(pulse.name)] = 171
    assert why.risk == pytest.approx(fitted.predict_proba(replace(test_stays[[2]], value=value))[0, 1], abs=1e-6)
    assert abs(why.completeness_gap) <= 1e-3
    assert why.measurements["value"].iloc[int(pulse.name)] == 171
    assert what_if.current is why
    assert what_if.explanation.measurements["value"].iloc[int(pulse.name)] == pulse["value"]


def test_an_added_measurement_is_seen_and_a_deleted_one_was_never_made(what_if, fitted, test_stays):
    added = what_if.add(hours=30.25, variable="lactate", value=9.0)
    lactate = [variable.name for variable in test_stays.variables].index("lactate")
    by_hand = stays_of(test_stays[[2]], {0: [fact(lactate, 30.25, 9.0)]})
    assert added.risk == pytest.approx(fitted.predict_proba(by_hand)[0, 1], abs=1e-6)
    deleted = what_if.delete(hours=30.25, variable="lactate")
    assert deleted.risk == pytest.approx(what_if.explanation.risk, abs=1e-9)


def test_changes_stand_on_those_before_until_they_are_reset(what_if, pulse):
    first = what_if.change(hours=pulse["hours"], variable="heart_rate", value=171)
    second = what_if.add(hours=30.25, variable="lactate", value=9.0)
    assert second.measurements["value"].max() >= 171
    assert second.risk != first.risk
    assert what_if.reset() is what_if.explanation
    assert len(what_if.stay.value) == len(what_if.explanation.measurements)


def test_values_may_come_in_other_units_of_the_dictionary(what_if):
    in_own = what_if.add(hours=30.25, variable="creatinine", value=2.0)
    what_if.reset()
    in_other = what_if.add(hours=30.25, variable="creatinine", value=176.84, unit="umol/L")
    assert in_other.risk == pytest.approx(in_own.risk, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variable": "lactate", "value": 1000}, "lactate from 0.1 to 40 mmol/L; got a value outside this range"),
        ({"variable": "lactate", "value": float("nan")}, "value as a number; got nan"),
        ({"variable": "lactat", "value": 2}, "Did you mean lactate"),
        ({"variable": "lactate", "value": 2, "hours": 60}, "an hour from 0 to 48; got 60"),
        ({"variable": "lactate", "value": 2, "hours": -1}, "an hour from 0 to 48; got -1"),
        ({"variable": "lactate", "value": 2, "unit": "kg"}, "a unit of lactate"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(what_if, change, said):
    before = what_if.stay
    with pytest.raises(cg.ClinicalGRUError, match=said):
        what_if.add(**{"hours": 30.25, **change})
    assert what_if.stay is before


def test_only_what_was_measured_can_be_changed_or_deleted(what_if, pulse):
    with pytest.raises(cg.ClinicalGRUError, match="a measurement of heart_rate at this hour; got an hour without one"):
        what_if.change(hours=pulse["hours"] + 0.01, variable="heart_rate", value=80)
    with pytest.raises(cg.ClinicalGRUError, match="an hour without heart_rate"):
        what_if.add(hours=pulse["hours"], variable="heart_rate", value=80)


def test_the_last_measurement_cannot_be_deleted(fitted, test_stays):
    empty = test_stays[[0]].filter_measurements(np.zeros(test_stays.n_measurements[0], bool))
    alone = cg.what_if(fitted, stays_of(empty, {0: [fact(8, 1.0, 80)]}))
    with pytest.raises(cg.ClinicalGRUError, match="another measurement in the stay"):
        alone.delete(hours=1.0, variable="heart_rate")


def risk_of(fitted, stay, change, part=1.0):
    """The risk when a part of the change is made by hand."""
    names = np.array([variable.name for variable in stay.variables])
    value = stay.value.copy()
    for row in change.measurements.itertuples():
        fact = (stay.hours == row.hours) & (names[stay.variable] == row.variable)
        value[fact] = row.before + part * (row.after - row.before)
    return fitted.predict_proba(replace(stay, value=value))[0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.93, 1.15])
def test_the_counterfactual_crosses_the_target_when_it_is_made(what_if, fitted, test_stays, factor):
    target = what_if.explanation.risk * factor
    change = what_if.counterfactual(target)
    assert change.valid
    made = risk_of(fitted, test_stays[[2]], change)
    assert made == pytest.approx(change.changed_risk, abs=1e-6)
    assert (made < target) == (factor < 1)
    assert change.distance == pytest.approx(change.shifts["shift"].abs().sum())


@pytest.mark.slow
def test_half_of_the_counterfactual_does_not_cross(what_if, fitted, test_stays):
    target = what_if.explanation.risk * 0.6
    assert risk_of(fitted, test_stays[[2]], what_if.counterfactual(target), part=0.5) >= target


@pytest.mark.slow
def test_where_there_is_no_such_change_it_says_so(what_if):
    change = what_if.counterfactual(1e-6)
    assert not change.valid
    assert change.changed_risk > 1e-6
    assert str(change).startswith("No plausible change of the measured values takes the risk from")
    with pytest.raises(cg.ClinicalGRUError, match="target_risk as a number above 0 and below 1"):
        what_if.counterfactual(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("target", [1e-6, 0.999])
def test_only_what_treatment_acts_on_moves_and_where_it_leads(what_if, fitted, test_stays, target):
    """To lower the risk towards the reference range and not beyond it; to raise it away; pressures stay in order."""
    change = what_if.counterfactual(target)
    variables = {variable.name: variable for variable in fitted.variables_}
    assert len(change.measurements)
    for row in change.measurements.itertuples():
        variable = variables[row.variable]
        (low, high), (lowest, highest) = variable.reference, variable.plausible
        assert variable.modifiable
        assert lowest <= row.after <= highest
        if target < 0.5 and row.variable not in ("map", "sbp"):  # these may follow the diastolic pressure
            assert (row.before < row.after <= low) or (high <= row.after < row.before)
        if target > 0.5:
            assert not (row.before > high and row.after < row.before)
            assert not (row.before < low and row.after > row.before)
    stay = test_stays[[2]]
    value = stay.value.copy()
    names = np.array([variable.name for variable in stay.variables])[stay.variable]
    for row in change.measurements.itertuples():
        value[(stay.hours == row.hours) & (names == row.variable)] = row.after
    table = pd.DataFrame({"hours": stay.hours, "name": names, "before": stay.value, "after": value})
    wide = table.pivot_table(index="hours", columns="name", values=["before", "after"])
    for lower, higher in (("dbp", "map"), ("map", "sbp")):
        ordered = wide["before"][lower] <= wide["before"][higher]
        assert (wide["after"][lower] <= wide["after"][higher])[ordered].all()
