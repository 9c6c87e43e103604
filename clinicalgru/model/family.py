"""All estimators by name: what a bundle may hold."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clinicalgru.model.ensemble import GRUEnsemble
from clinicalgru.model.estimator import GRUEstimator
from clinicalgru.model.estimators import GRUClassifier, GRUMultiLabel, GRURegressor
from clinicalgru.model.forecaster import GRUForecaster
from clinicalgru.model.timed import GRUEarlyWarning, GRUSurvival

Model = GRUEstimator | GRUEnsemble  # what can be saved, and scores an extract

ESTIMATORS: Mapping[str, type[GRUEstimator]] = MappingProxyType(
    {
        one.__name__: one
        for one in (GRUClassifier, GRUMultiLabel, GRURegressor, GRUEarlyWarning, GRUSurvival, GRUForecaster)
    }
)
