"""What scikit-learn asks of an estimator besides `fit` and `predict`; shared by GRU estimators and baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clinicalgru.data.dictionary.variable import Variable

if TYPE_CHECKING:
    from sklearn.utils import Tags


class ScikitLearnInterface:
    """Mixin: names and number of features, and tags. A feature is a variable or a static covariate."""

    variables_: tuple[Variable, ...]
    static_variables_: tuple[Variable, ...]

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the variables and static covariates that the model was fitted on.

        Returns
        -------
        ndarray of shape (n_features,)
            Names, in the order of the columns that scikit-learn permutes.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        variables = (*self.variables_, *self.static_variables_)
        return np.array([variable.name for variable in variables], dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of variables and static covariates that the model was fitted on.

        Returns
        -------
        int
            Length of `feature_names_in_`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        return len(self.feature_names_in_)

    def __sklearn_is_fitted__(self) -> bool:
        return "variables_" in vars(self)

    def __sklearn_tags__(self) -> Tags:  # scikit-learn 1.6 and newer
        tags: Any = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.two_d_array = False  # Sequences, not an array
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False  # the sequences hold the outcome
        tags.no_validation = True
        return tags  # type: ignore[no-any-return]
