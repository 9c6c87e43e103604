"""Laws of predicting."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.estimator_checks.case import (
    CheckCase,
    NotApplicable,
    digest,
    generator_state,
    learned,
    must,
    must_refuse,
    same,
    torch_default,
)
from clinicalgru.estimator_checks.registry import check

FEW = 8


@check
def _each_stay_or_time_step_has_its_row(case: CheckCase) -> None:
    must(len(case.by_stay(case.test, case.predictions)) == len(case.test), "not every stay has a prediction")


@check
def _predictions_are_finite(case: CheckCase) -> None:
    known = np.isfinite(case.predictions)
    must(known.all() or (case.train.task.task_type == "forecast" and known.any()), "predictions are not finite")


@check
def _probabilities_are_between_0_and_1(case: CheckCase) -> None:
    _needs_probabilities(case)
    must(((case.predictions >= 0) & (case.predictions <= 1)).all(), "probabilities outside 0 to 1")


@check
def _probabilities_sum_to_1(case: CheckCase) -> None:
    _needs_probabilities(case)
    if case.train.task.task_type not in ("binary", "multiclass", "early_warning"):
        raise NotApplicable("no classes that exclude each other")
    same(case.predictions.sum(axis=1), 1, "probabilities do not sum to 1")


@check
def _the_predicted_class_is_the_likeliest(case: CheckCase) -> None:
    _needs_probabilities(case)
    if case.train.task.task_type not in ("binary", "multiclass"):
        raise NotApplicable("no classes that exclude each other")
    likeliest = np.asarray(case.model.classes_)[case.predictions.argmax(axis=1)]
    must(np.array_equal(np.asarray(case.model.predict(case.test)), likeliest), "predict is not the likeliest class")


@check
def _predicting_twice_gives_the_same_bits(case: CheckCase) -> None:
    same(case.predict(case.test), case.predictions, "predicting twice differs", atol=0)


@check
def _neighbours_do_not_matter(case: CheckCase) -> None:
    together = case.by_stay(case.test, case.predictions)
    for i in range(min(FEW, len(case.test))):
        same(case.predict(case.test[[i]]), together[i], "a stay alone has another prediction than among others")


@check
def _the_order_of_the_stays_does_not_matter(case: CheckCase) -> None:
    order = np.random.default_rng(0).permutation(len(case.test))
    shuffled = case.by_stay(case.test[order], case.predict(case.test[order]))
    together = case.by_stay(case.test, case.predictions)
    same(np.concatenate(shuffled), np.concatenate([together[i] for i in order]), "the order of the stays matters")


@check
def _the_size_of_the_request_does_not_matter(case: CheckCase) -> None:
    half = len(case.test) // 2
    parts = np.concatenate([case.predict(case.test[:half]), case.predict(case.test[half:])])
    same(parts, case.predictions, "two halves are predicted otherwise than the whole")


@check
def _a_stay_and_its_copy_have_the_same_prediction(case: CheckCase) -> None:
    twice = case.by_stay(case.test[[0, 0]], case.predict(case.test[[0, 0]]))
    same(twice[0], twice[1], "a stay and its copy differ")


@check
def _a_slice_a_mask_and_positions_agree(case: CheckCase) -> None:
    mask = np.arange(len(case.test)) < 3
    same(case.predict(case.test[mask]), case.predict(case.test[[0, 1, 2]]), "a mask and positions differ", atol=0)
    same(case.predict(case.test[:3]), case.predict(case.test[mask]), "a slice and a mask differ", atol=0)


@check
def _predicting_leaves_the_model_as_it_was(case: CheckCase) -> None:
    model = case.copy()
    case.predict(case.test, model)  # what is made on first use may stay
    before = learned(model)
    case.predict(case.test, model)
    must(learned(model) == before, "predicting changed the model")


@check
def _predicting_leaves_the_stays_as_they_were(case: CheckCase) -> None:
    before = digest(case.test)
    case.predict(case.test)
    must(digest(case.test) == before, "predicting changed the stays")


@check
def _predicting_draws_from_no_generator(case: CheckCase) -> None:
    before = generator_state()
    case.predict(case.test[:3])
    must(generator_state() == before, "predicting drew from a global random generator")


@check
def _identifiers_do_not_matter(case: CheckCase) -> None:
    names = np.array([f"other-{i}" for i in range(len(case.test))], dtype=object)
    same(case.predict(replace(case.test, patient=names, stay=names)), case.predictions, "identifiers matter")


@check
def _outcomes_do_not_matter(case: CheckCase) -> None:
    outcome = np.asarray(case.test.outcome, dtype=float)
    same(case.predict(replace(case.test, outcome=1 - outcome)), case.predictions, "the outcome is a feature")


@check
def _unknown_outcomes_do_not_matter(case: CheckCase) -> None:
    unknown = replace(case.test, outcome=np.full_like(np.asarray(case.test.outcome, dtype=float), np.nan))
    same(case.predict(unknown), case.predictions, "stays without an outcome are predicted otherwise")


@check
def _dates_do_not_matter(case: CheckCase) -> None:
    later = replace(case.test, index_time=case.test.index_time + 365 * 86_400_000_000)
    same(case.predict(later), case.predictions, "the date of the stay matters")


@check
def _the_name_of_the_source_does_not_matter(case: CheckCase) -> None:
    other = replace(case.test, source="elsewhere", flow=(), reading={})
    same(case.predict(other), case.predictions, "the name of the source matters")


@check
def _stays_on_disk_are_predicted_alike(case: CheckCase) -> None:
    few = case.test[:FEW]
    with tempfile.TemporaryDirectory() as folder:
        opened = Sequences.open(few.save(f"{folder}/stays"))
        on_disk = case.predict(opened)
    same(on_disk, case.predict(few), "stays on disk are predicted otherwise")


@check
def _threads_do_not_matter(case: CheckCase) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(case.predict, [case.test, case.test]))
    for table in both:
        same(table, case.predictions, "two threads predict otherwise than one")


@check
def _the_default_number_type_does_not_matter(case: CheckCase) -> None:
    with torch_default("float64"):
        table = case.predict(case.test)
    same(table, case.predictions, "the default number type of torch matters")


@check
def _one_stay_is_enough(case: CheckCase) -> None:
    must(len(case.predict(case.test[[0]])) >= 1, "a single stay has no prediction")


@check
def _predict_refuses_an_array(case: CheckCase) -> None:
    must_refuse(lambda: case.predict(np.zeros((3, 2))), "an array of numbers")  # type: ignore[arg-type]


@check
def _predict_refuses_fewer_variables(case: CheckCase) -> None:
    must_refuse(lambda: case.predict(case.test.with_variables(case.test.variables[:-1])), "stays with fewer variables")


@check
def _predict_refuses_variables_in_another_order(case: CheckCase) -> None:
    other = case.test.with_variables(case.test.variables[::-1])
    must_refuse(lambda: case.predict(other), "variables in another order")


@check
def _predict_refuses_fewer_static_covariates(case: CheckCase) -> None:
    if not case.test.static_variables:
        raise NotApplicable("no static covariates")
    fewer = case.test.with_static_variables(case.test.static_variables[:-1])
    must_refuse(lambda: case.predict(fewer), "stays with fewer static covariates")


def _needs_probabilities(case: CheckCase) -> None:
    if not case.has_probabilities:
        raise NotApplicable("no probabilities")
