"""Laws of an estimator that is not fitted."""

from __future__ import annotations

import inspect
import pickle

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError

from clinicalgru.estimator_checks.case import CheckCase, NotApplicable, must
from clinicalgru.estimator_checks.registry import check


@check
def _parameters_are_attributes(case: CheckCase) -> None:
    model = case.fresh()
    for name, value in model.get_params(deep=False).items():
        must(getattr(model, name) is value or getattr(model, name) == value, f"parameter {name} is not the attribute")


@check
def _a_new_estimator_has_learned_nothing(case: CheckCase) -> None:
    names = [name for name in vars(case.fresh()) if name.endswith("_") and not name.startswith("_")]
    must(not names, f"learned attributes before fit: {', '.join(names)}")


@check
def _parameters_are_named_in_the_signature(case: CheckCase) -> None:
    kinds = [p.kind for p in inspect.signature(type(case.estimator).__init__).parameters.values()]
    must(inspect.Parameter.VAR_POSITIONAL not in kinds, "__init__ takes *args")
    must(inspect.Parameter.VAR_KEYWORD not in kinds, "__init__ takes **kwargs")


@check
def _parameters_are_set_and_got_back(case: CheckCase) -> None:
    model, given = case.fresh(), case.estimator.get_params(deep=False)
    must(model.set_params(**given) is model, "set_params does not return the estimator")
    must(repr(model.get_params(deep=False)) == repr(given), "set_params and get_params differ")


@check
def _an_unknown_parameter_is_refused(case: CheckCase) -> None:
    try:
        case.fresh().set_params(no_such_parameter=1)
    except (ValueError, TypeError):
        return
    raise AssertionError("set_params takes an unknown parameter")


@check
def _a_clone_has_the_same_parameters(case: CheckCase) -> None:
    must(repr(case.fresh().get_params()) == repr(case.estimator.get_params()), "a clone has other parameters")


@check
def _a_clone_shares_no_nested_parameters(case: CheckCase) -> None:
    nested = {name: value for name, value in case.estimator.get_params(deep=False).items() if hasattr(value, "fit")}
    if not nested:
        raise NotApplicable("no nested estimators")
    model = case.fresh()
    for name, value in nested.items():
        must(getattr(model, name) is not value, f"a clone shares {name}")


@check
def _it_is_shown_in_words(case: CheckCase) -> None:
    must(repr(case.fresh()).startswith(type(case.estimator).__name__), "repr does not begin with the name of the class")


@check
def _it_shows_itself_in_a_notebook(case: CheckCase) -> None:
    shown = getattr(case.fresh(), "_repr_html_", None)
    if shown is None:
        raise NotApplicable("no _repr_html_")
    must("<" in str(shown()), "_repr_html_ gives no HTML")


@check
def _it_pickles_before_it_is_fitted(case: CheckCase) -> None:
    again = pickle.loads(pickle.dumps(case.fresh()))
    must(repr(again.get_params()) == repr(case.estimator.get_params()), "a pickled estimator has other parameters")


@check
def _it_says_what_it_is(case: CheckCase) -> None:
    tags = case.fresh().__sklearn_tags__()
    must(tags.estimator_type in ("classifier", "regressor", None), f"unknown type {tags.estimator_type}")
    must(not (is_classifier(case.estimator) and is_regressor(case.estimator)), "classifier and regressor at once")


@check
def _a_classifier_predicts_probabilities(case: CheckCase) -> None:
    if not is_classifier(case.estimator):
        raise NotApplicable("no classifier")
    must(case.has_probabilities, "a classifier without predict_proba")


@check
def _fit_takes_stays_and_an_outcome(case: CheckCase) -> None:
    names = list(inspect.signature(case.estimator.fit).parameters)
    must(names[:2] == ["X", "y"], f"fit takes {', '.join(names[:2])}, not X and y")


@check
def _predicting_before_fit_raises_not_fitted_error(case: CheckCase) -> None:
    try:
        case.predict(case.test, case.fresh())
    except NotFittedError:
        return
    raise AssertionError("an estimator that is not fitted predicts")


@check
def _it_is_cloned_from_a_fitted_one_unfitted(case: CheckCase) -> None:
    names = [name for name in vars(clone(case.model)) if name.endswith("_") and not name.startswith("_")]
    must(not names, f"a clone has learned {', '.join(names)}")
