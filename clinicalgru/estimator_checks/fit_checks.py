"""Laws of fitting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clinicalgru.estimator_checks.case import CheckCase, NotApplicable, must, must_refuse, same
from clinicalgru.estimator_checks.registry import check


@check
def _fit_returns_the_estimator(case: CheckCase) -> None:
    must(case.record.returned_itself, "fit does not return the estimator")


@check
def _fit_leaves_the_stays_as_they_were(case: CheckCase) -> None:
    must(not case.record.stays_changed, "fit changed its stays")


@check
def _fit_leaves_the_parameters_as_they_were(case: CheckCase) -> None:
    must(not case.record.parameters_changed, "fit changed its own parameters")


@check
def _fit_leaves_the_global_generators_alone(case: CheckCase) -> None:
    must(not case.record.generators_changed, "fit drew from a global random generator")


@check
def _fit_writes_no_files(case: CheckCase) -> None:
    must(not case.record.new_files, "fit wrote files into the working folder")


@check
def _fit_prints_nothing(case: CheckCase) -> None:
    must(not case.record.printed.strip(), "fit printed, though it was to be quiet")


@check
def _what_is_learned_ends_in_an_underscore(case: CheckCase) -> None:
    new = set(vars(case.model)) - set(vars(case.fresh()))
    wrong = sorted(name for name in new if not name.endswith("_") and not name.startswith("_"))
    must(new, "fit learned nothing")
    must(not wrong, f"learned attributes without a trailing underscore: {', '.join(wrong)}")


@check
def _features_are_counted(case: CheckCase) -> None:
    must(case.model.n_features_in_ == case.train.shape[1], "n_features_in_ is not the number of columns")


@check
def _features_are_named(case: CheckCase) -> None:
    names = [one.name for one in (*case.train.variables, *case.train.static_variables)]
    must(list(case.model.feature_names_in_) == names, "feature_names_in_ are not the names of the columns")


@check
def _variables_of_training_are_kept(case: CheckCase) -> None:
    must(tuple(case.model.variables_) == tuple(case.train.variables), "variables_ are not those of training")
    must(
        tuple(case.model.static_variables_) == tuple(case.train.static_variables),
        "static_variables_ are not those of training",
    )


@check
def _the_task_of_training_is_kept(case: CheckCase) -> None:
    must(case.model.task_ == case.train.task, "task_ is not the task of training")


@check
def _no_patient_is_kept_by_name(case: CheckCase) -> None:
    shown = repr({name: value for name, value in vars(case.model).items() if isinstance(value, str | dict | list)})
    names = [*np.unique(case.train.patient.astype(str)), *case.train.stay.astype(str)]
    must(not any(name in shown for name in names if len(name) > 4), "identifiers of training stays in attributes")


@check
def _the_same_seed_gives_the_same_numbers(case: CheckCase) -> None:
    outcome = () if case.train.task.task_type == "forecast" else (case.train.outcome,)
    np.random.rand(3)
    again = case.fit(case.train, *outcome)
    same(case.predict(case.test, again), case.predictions, "two fits with one seed differ", atol=0)


@check
def _a_second_fit_forgets_the_first(case: CheckCase) -> None:
    model = case.copy()
    case.fit(case.train, model=model)
    same(case.predict(case.test, model), case.predictions, "a second fit remembers the first", atol=0)


@check
def _a_failed_fit_changes_nothing(case: CheckCase) -> None:
    model = case.copy()
    must_refuse(lambda: case.fit(case.train[:0], model=model), "a fit on no stays")
    same(case.predict(case.test, model), case.predictions, "a failed fit changed the predictions", atol=0)


@check
def _fit_refuses_an_array(case: CheckCase) -> None:
    must_refuse(lambda: case.fit(np.zeros((10, 3))), "an array of numbers")  # type: ignore[arg-type]


@check
def _fit_refuses_nothing(case: CheckCase) -> None:
    must_refuse(lambda: case.fit(None), "None as stays")  # type: ignore[arg-type]


@check
def _fit_refuses_no_stays(case: CheckCase) -> None:
    must_refuse(lambda: case.fit(case.train[:0]), "a fit on no stays")


@check
def _fit_refuses_an_outcome_of_another_length(case: CheckCase) -> None:
    must_refuse(lambda: case.fit(case.train, np.zeros(len(case.train) + 1)), "an outcome of another length")


@check
def _fit_refuses_other_outcomes_than_those_of_the_stays(case: CheckCase) -> None:
    if case.train.task.task_type in ("forecast", "early_warning", "survival"):
        raise NotApplicable("the outcome is more than one number per stay")
    other = np.roll(np.asarray(case.train.outcome, dtype=float), 1, axis=0) + 1
    must_refuse(lambda: case.fit(case.train, other), "another outcome than that of the stays")


@check
def _fit_refuses_unknown_outcomes(case: CheckCase) -> None:
    if case.train.task.task_type == "forecast":
        raise NotApplicable("no outcome")
    unknown = replace(case.train, outcome=np.full_like(np.asarray(case.train.outcome, dtype=float), np.nan))
    must_refuse(lambda: case.fit(unknown), "outcomes that are all unknown")


@check
def _fit_refuses_outcomes_that_are_all_alike(case: CheckCase) -> None:
    if case.train.task.task_type not in ("binary", "multiclass"):
        raise NotApplicable("no classes")
    alike = replace(case.train, outcome=np.zeros_like(case.train.outcome))
    must_refuse(lambda: case.fit(alike), "outcomes that are all alike")


@check
def _classes_are_listed(case: CheckCase) -> None:
    if case.train.task.task_type not in ("binary", "multiclass"):
        raise NotApplicable("no classes")
    expected = np.unique(case.train.outcome[~np.isnan(case.train.outcome)])
    must(np.array_equal(np.asarray(case.model.classes_, dtype=float), expected), "classes_ are not the outcomes")


@check
def _a_score_is_a_finite_number(case: CheckCase) -> None:
    if not hasattr(case.model, "score"):
        raise NotApplicable("no score")
    must(np.isfinite(float(case.model.score(case.test))), "score is not finite")
