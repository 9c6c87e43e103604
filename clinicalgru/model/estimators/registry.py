"""All estimators by name: what a bundle may hold."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clinicalgru.model.baselines.base import BaselineEstimator
from clinicalgru.model.baselines.discrete_hazard_trees import DiscreteHazardTrees
from clinicalgru.model.baselines.forecast_baselines import BoostedTreesForecaster, LOCFForecaster
from clinicalgru.model.baselines.step_trees import EarlyWarningTrees
from clinicalgru.model.baselines.summary_baseline import SummaryBaseline
from clinicalgru.model.baselines.tree_baselines import MedianTrees, MulticlassTrees, MultilabelTrees
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.classifier import GRUClassifier, GRUMultiLabel
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.forecaster import GRUForecaster
from clinicalgru.model.estimators.regressor import GRURegressor
from clinicalgru.model.estimators.stacking import Hybrid
from clinicalgru.model.estimators.survival import GRUSurvival

Model = GRUEstimator | GRUEnsemble  # networks: what can be explained
FittedModel = GRUEstimator | GRUEnsemble | Hybrid | BaselineEstimator  # what can be saved

ESTIMATORS: Mapping[str, type[GRUEstimator]] = MappingProxyType(
    {
        one.__name__: one
        for one in (GRUClassifier, GRUMultiLabel, GRURegressor, GRUEarlyWarning, GRUSurvival, GRUForecaster)
    }
)

BASELINE_CLASSES: Mapping[str, type[BaselineEstimator]] = MappingProxyType(
    {
        one.__name__: one
        for one in (
            SummaryBaseline,
            EarlyWarningTrees,
            MulticlassTrees,
            MultilabelTrees,
            MedianTrees,
            DiscreteHazardTrees,
            LOCFForecaster,
            BoostedTreesForecaster,
        )
    }
)

BY_TASK_TYPE: Mapping[str, type[GRUEstimator]] = MappingProxyType(
    {
        "binary": GRUClassifier,
        "multiclass": GRUClassifier,
        "multilabel": GRUMultiLabel,
        "regression": GRURegressor,
        "early_warning": GRUEarlyWarning,
        "survival": GRUSurvival,
        "forecast": GRUForecaster,
    }
)  # which estimator learns a type of task
