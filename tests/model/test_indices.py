"""Clinical indices: what is divided by what, where it is known, and to which measurements an explanation gives it."""

import numpy as np
import pandas as pd
import pytest
from helpers import with_network

import clinicalgru as cg
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.model.features.clinical_indices import SUMMARIES, index_of, index_parts, known_indices, with_indices
from clinicalgru.model.features.summaries import summarise, summary_names
from clinicalgru.serve.bundle import load, save

NAMES = ["map_invasive", "map_noninvasive", "urine_output", "weight"]


def table(**known):
    """(2, summary) of two points: at the first these summaries are known, at the second nothing is."""
    columns = [f"{name} {summary}" for name in NAMES for summary in SUMMARIES]
    found = pd.DataFrame(np.nan, index=range(2), columns=columns)
    found[[column for column in columns if column.endswith("count")]] = 0.0
    for name, value in known.items():
        found.loc[0, name.replace("__", " ")] = value
    return found.to_numpy()


def index(formula, **known):
    return with_indices(table(**known), NAMES, [formula])[:, -1]


def test_a_ratio_a_difference_and_the_lower_of_two_are_what_they_say():
    known = {"map_invasive__min": 60.0, "map_noninvasive__min": 80.0}
    assert index("map_invasive min / map_noninvasive min", **known)[0] == 0.75
    assert index("map_invasive min - map_noninvasive min", **known)[0] == -20.0
    assert index("map_noninvasive min or lower map_invasive min", **known)[0] == 60.0


def test_a_total_is_the_sum_of_what_was_measured():
    known = {"urine_output__count": np.log1p(4), "urine_output__mean": 30.0, "weight__last": 60.0}
    assert index("urine_output total", **known)[0] == pytest.approx(120.0)
    assert index("urine_output total / weight last", **known)[0] == pytest.approx(2.0)


def test_an_index_is_unknown_where_a_part_of_it_is_but_the_lower_of_two_needs_only_one():
    one = {"map_invasive__min": 60.0}
    assert np.isnan(index("map_invasive min / map_noninvasive min", **one)).all()
    lower = index("map_noninvasive min or lower map_invasive min", **one)
    assert lower[0] == 60.0
    assert np.isnan(lower[1])


def test_nothing_divided_by_nothing_is_not_known():
    known = {"urine_output__last": 0.0, "weight__last": 0.0}
    assert np.isnan(index("urine_output last / weight last", **known)[0])


def test_every_shipped_formula_is_of_variables_of_the_dictionary():
    every = known_indices(list(Dictionary.load()))
    assert len(every) == len(set(every)) > 20
    assert {operand.variable for formula in every for operand in index_of(formula).operands} <= set(Dictionary.load())


def test_the_shock_index_of_a_stay_is_its_heart_rate_by_its_pressure(test_stays):
    formulas = known_indices([variable.name for variable in test_stays.variables])
    assert formulas
    found = pd.DataFrame(summarise(test_stays, indices=formulas), columns=[*summary_names(test_stays), *formulas])
    for formula in formulas:
        if " / " in formula and "total" not in formula:
            above, below = formula.split(" / ")
            np.testing.assert_allclose(found[formula], found[above] / found[below], rtol=1e-5)


def test_the_parts_of_an_index_are_the_summaries_it_names():
    columns = [f"{name} {summary}" for name in NAMES for summary in SUMMARIES]
    parts = index_parts(NAMES, ["urine_output total / weight last", "map_invasive min or lower map_noninvasive min"])
    named = [[columns[column] for column in row if column >= 0] for row in parts]
    assert named[0] == ["urine_output count", "urine_output mean", "weight last"]
    assert named[1] == ["map_invasive min", "map_noninvasive min"]


@pytest.mark.parametrize(
    "formula", ["map_invasive least", "map_invasive min * weight last", "weight last / ", "weight"]
)
def test_a_formula_that_cannot_be_read_is_refused(formula):
    with pytest.raises(cg.ClinicalGRUError, match="a formula such as"):
        index_of(formula)


def test_an_index_of_a_variable_that_is_not_there_is_refused_before_training(parts):
    with pytest.raises(cg.ClinicalGRUError, match="indices of the variables at hand"):
        cg.GRUClassifier(network=cg.NetworkConfig(clinical_indices=["weigth last"])).fit(
            parts[0], validation=parts[1], verbose=False
        )


@pytest.mark.slow
def test_a_network_can_do_without_and_remembers_which_it_learned_with(parts, tmp_path):
    small = {
        "network": cg.NetworkConfig(hidden_size=4, readout_size=4, ensemble_size=1),
        "max_epochs": 1,
        "distillation": 0.0,
    }
    without = cg.GRUClassifier(**with_network(small, clinical_indices=())).fit(
        parts[0], validation=parts[1], verbose=False
    )
    assert without.network_.spec.clinical_indices == ()
    model = cg.GRUClassifier(**small).fit(parts[0], validation=parts[1], verbose=False)
    assert model.network_.spec.clinical_indices == known_indices([variable.name for variable in parts[0].variables])
    save(model, tmp_path / "bundle")
    loaded = load(tmp_path / "bundle")
    np.testing.assert_array_equal(loaded.predict_proba(parts[1]), model.predict_proba(parts[1]))
