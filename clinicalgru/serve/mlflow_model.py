"""MLflow: a bundle as a pyfunc model, from code and without pickle."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.optional_packages import import_optional
from clinicalgru.serve.bundle import fitted_model, load_model, save
from clinicalgru.serve.manifest import versions
from clinicalgru.serve.score import score
from clinicalgru.serve.score_rows import SCORES, schema_of
from clinicalgru.serve.spark import columns_of_scores

CODE = """from mlflow.models import set_model

from clinicalgru.serve.mlflow_model import bundle_model

set_model(bundle_model())
"""
ROWS = {"patient_id": "string", "stay_id": "string", "time": "datetime", "variable": "string", "value": "double"}
OPTIONAL = {"unit": "string", "available_at": "datetime"}
OF_STAYS = {"start": "datetime", "end": "datetime"}


def save_mlflow(
    model: FittedModel | str | Path, path: str | Path, *, require_signature: str | Path | None = None, **options: Any
) -> None:
    """Save a model as an MLflow model, whose artifact is its bundle; nothing is pickled.

    `mlflow.pyfunc.load_model(path).predict(rows, params={"as_of": ...})` gives the table of `score`. Rows are those of
    an extract of source "long". Columns start, end and static covariates, equal in all rows of a stay, are its stays.
    The artifact of a signed bundle keeps its signature. With `model_config={"require_signature": "key.pub"}`,
    `load_model` refuses one that is not signed by that key.

    Parameters
    ----------
    model : estimator, str or Path
        A fitted model, or the folder of a bundle.
    path : str or Path
        A new folder.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.
    **options
        Further arguments of `mlflow.pyfunc.save_model`.

    Raises
    ------
    MissingPackageError
        If MLflow is not installed.
    SignatureError
        If the bundle is not signed by the required key.

    Examples
    --------
    >>> from clinicalgru import save_mlflow
    >>> save_mlflow("bundle", "mlflow-model")  # doctest: +SKIP
    """
    mlflow = import_optional("mlflow.pyfunc", "mlflow", extra="mlflow")
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(path=str(path), **_arguments(model, Path(folder), require_signature) | options)


def log_mlflow(
    model: FittedModel | str | Path, name: str = "model", *, require_signature: str | Path | None = None, **options: Any
) -> Any:
    """Log a model to the active run of MLflow, as `save_mlflow` saves it.

    Parameters
    ----------
    model : estimator, str or Path
        A fitted model, or the folder of a bundle.
    name : str
        Name of the model.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.
    **options
        Further arguments of `mlflow.pyfunc.log_model`, such as `registered_model_name`.

    Returns
    -------
    mlflow.models.model.ModelInfo
        What MLflow knows of it.

    Raises
    ------
    MissingPackageError
        If MLflow is not installed.
    SignatureError
        If the bundle is not signed by the required key.

    Examples
    --------
    >>> from clinicalgru import log_mlflow
    >>> log_mlflow("bundle", registered_model_name="mortality")  # doctest: +SKIP
    """
    mlflow = import_optional("mlflow.pyfunc", "mlflow", extra="mlflow")
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.log_model(name=name, **_arguments(model, Path(folder), require_signature) | options)


def _arguments(model: FittedModel | str | Path, folder: Path, require_signature: str | Path | None) -> dict[str, Any]:
    """Arguments of `save_model`: the code, the bundle, and the signature."""
    fitted = fitted_model(model, require_signature=require_signature)
    code = folder / "clinicalgru_model.py"
    code.write_text(CODE, encoding="utf-8")
    bundle = folder / "bundle"
    if isinstance(model, str | Path):
        shutil.copytree(model, bundle)  # with its signature
    else:
        save(fitted, bundle)
    requirements = [f"{name}=={number}" for name, number in versions().items()]
    return {
        "python_model": str(code),
        "artifacts": {"bundle": str(bundle)},
        "signature": _signature(fitted),
        "model_config": {"require_signature": ""},  # MLflow ignores what is not there
        "pip_requirements": requirements,
    }


def _signature(model: FittedModel) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    static = {one.name: "string" if one.categories else "double" for one in model.static_variables_}
    optional = OPTIONAL | OF_STAYS | static
    inputs: list[Any] = [ColSpec(kind, name) for name, kind in ROWS.items()]
    inputs += [ColSpec(kind, name, required=False) for name, kind in optional.items()]
    kinds = {"string": "string", "double": "double"}
    outputs: list[Any] = [ColSpec(kinds.get(str(field.type), "datetime"), field.name) for field in _fields(model)]
    params = [ParamSpec("as_of", "string", ""), ParamSpec("accept_differences", "boolean", False)]
    return ModelSignature(Schema(inputs), Schema(outputs), ParamSchema(params))


def _fields(model: FittedModel) -> Any:
    columns = columns_of_scores(model)
    return schema_of(columns) if columns != SCORES.names else SCORES


def bundle_model() -> Any:
    """Give the pyfunc model that scores with a bundle; MLflow calls it when it loads a saved model.

    Returns
    -------
    mlflow.pyfunc.PythonModel
    """
    mlflow = import_optional("mlflow.pyfunc", "mlflow", extra="mlflow")

    class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def load_context(self, context: Any) -> None:
            key = (context.model_config or {}).get("require_signature")
            self.model = load_model(context.artifacts["bundle"], require_signature=key or None)

        def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
            return score_table(self.model, model_input, params or {})

    return BundleModel()


def score_table(model: FittedModel, rows: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
    """Score the rows of one table, which may hold the columns of their stays.

    Parameters
    ----------
    model : estimator
        A fitted model.
    rows : DataFrame
        Measurements in the layout `long`; start, end and static covariates are columns of the stays.
    params : dict
        as_of, "" for the last `available_at`; and accept_differences.

    Returns
    -------
    DataFrame
        As `score` gives it.
    """
    own = [*OF_STAYS, *(one.name for one in model.static_variables_)]
    of_stays = [name for name in own if name in rows.columns]
    tables: dict[str, Any] = {}
    if of_stays:
        identifiers = [name for name in ("patient_id", "stay_id") if name in rows.columns]
        tables["stays"] = rows[[*identifiers, *of_stays]].drop_duplicates(ignore_index=True)
    as_of, accept = params.get("as_of") or None, bool(params.get("accept_differences"))
    return score(model, rows.drop(columns=of_stays), as_of=as_of, accept_differences=accept, **tables)
