"""All estimators by name: what a bundle may hold."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.classifier import GRUClassifier, GRUMultiLabel
from clinicalgru.model.estimators.early_warning import GRUEarlyWarning
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.estimators.forecaster import GRUForecaster
from clinicalgru.model.estimators.regressor import GRURegressor
from clinicalgru.model.estimators.survival import GRUSurvival

Model = GRUEstimator | GRUEnsemble  # what can be saved, and scores an extract

ESTIMATORS: Mapping[str, type[GRUEstimator]] = MappingProxyType(
    {
        one.__name__: one
        for one in (GRUClassifier, GRUMultiLabel, GRURegressor, GRUEarlyWarning, GRUSurvival, GRUForecaster)
    }
)
