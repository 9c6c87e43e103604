"""The preprocessing contract of an exported model: what its graph expects of measurements, as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.evaluate.conformal import ABSENT, EVERYONE, OCCURRED, ConformalSets
from clinicalgru.evaluate.conformal_multi import ALWAYS, ClassConformalSets, LabelConformalSets
from clinicalgru.model.estimators.registry import Model
from clinicalgru.model.prediction_sets import SET, set_columns
from clinicalgru.serve.bundle import model_hash

ONNX_FORMAT: Literal["clinicalgru onnx 2"] = "clinicalgru onnx 2"
MEASUREMENT, STAY, CODED = "measurement", "stay", "coded event"
# name, dtype, axes and meaning of each input; axes of any size
INPUTS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("value", "float32", (MEASUREMENT,), "value in the unit of its variable"),
    ("variable", "int64", (MEASUREMENT,), "position of its variable in variables"),
    ("stay", "int64", (MEASUREMENT,), "position of its stay, ascending"),
    ("step", "int64", (MEASUREMENT,), "number of its hours among the distinct hours of the stay, from 0"),
    ("hours", "float64", (MEASUREMENT,), "when it became known, since the index time; ascending within a stay"),
    ("availability_lag", "float32", (MEASUREMENT,), "hours from the measurement until it became known"),
    ("end_hours", "float64", (STAY,), "prediction time, since the index time"),
    ("static", "float32", (STAY, "static variable"), "covariates in their unit or as position of the category; or NaN"),
)
CODE_INPUTS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("code", "int64", (CODED,), "position in code_vocabulary"),
    ("code_stay", "int64", (CODED,), "position of its stay, ascending"),
    ("code_step", "int64", (CODED,), "number of its hours among those of measurements and coded events of the stay"),
    ("code_hours", "float64", (CODED,), "when it became known, since the index time"),
)


class Tensor(BaseModel):
    """An input or output of the graph.

    Parameters
    ----------
    name, dtype : str
        Its name, and type of its numbers.
    shape : list of str or int
        A text names an axis of any size.
    meaning : str
        What it is.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    dtype: str
    shape: list[str | int] = Field(description="A text names an axis of any size")
    meaning: str


class Input(BaseModel):
    """A variable or static covariate.

    Parameters
    ----------
    name, label, unit : str
        Short name, name in words, and the unit of values.
    plausible : list of float or None
        Lowest and highest value; others are left out.
    merge : str
        How different values of one instant combine: mean, sum, last, min or max; exact repeats count once.
    categories : list of str
        Categories of a static covariate in their order; a value is a position among them. Empty for a number.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    label: str
    unit: str
    plausible: list[float] | None = Field(description="Lowest and highest value; others are left out")
    merge: str = Field(description="How different values of one instant combine; exact repeats count once")
    categories: list[str] = Field(description="A value is a position among them; empty for a number")


class SetMember(BaseModel):
    """An outcome that a prediction set may hold.

    Parameters
    ----------
    outcome : str
        Its name in the set.
    score : int
        Position in score_columns of the score that decides.
    low, high : float
        The set holds it where that score lies between them, both included.
    """

    model_config = ConfigDict(extra="forbid")

    outcome: str
    score: int = Field(description="Position in score_columns of the score that decides")
    low: float
    high: float = Field(description="The set holds it where that score lies between them, both included")


class Contract(BaseModel):
    """Contents of contract.json; its JSON Schema is data_schemas/onnx_contract.schema.json.

    Parameters
    ----------
    format : str
        Format and its version.
    model_hash : str
        Hash of the bundle.
    task : dict
        The question the model answers, with the index time and window.
    variables, static_variables : list of Input
        In the order of the graph.
    code_vocabulary : list of str
        Coded events in the order of the graph; others are left out.
    inputs, outputs : list of Tensor
        Of the graph.
    score_columns : list of str
        Columns of the output scores.
    prediction_sets : dict of str to list of SetMember
        Split-conformal sets by column: outcomes that a set may hold. None of a model without sets.
    limits : dict of str to float or None
        Fewest measurements (of an early warning: per hour) and variables of a stay that is scored.
    weights : str
        float32, or int8 with a scale for each output.
    measured : dict of str to float
        Differences from the bundle on stays, sizes in bytes, accuracy.
    sha256 : dict of str to str
        sha256 of each file; that of contract.json is of its JSON with sorted keys, without this entry.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["clinicalgru onnx 2"] = Field(description="Format and its version")
    model_hash: str = Field(description="Hash of the bundle")
    task: dict[str, Any] = Field(description="The question the model answers, with the index time and window")
    variables: list[Input] = Field(description="In the order of the graph")
    static_variables: list[Input] = Field(description="In the order of the graph")
    code_vocabulary: list[str] = Field(description="Coded events in the order of the graph; others are left out")
    inputs: list[Tensor]
    outputs: list[Tensor]
    score_columns: list[str] = Field(description="Columns of the output scores")
    prediction_sets: dict[str, list[SetMember]] = Field(
        description="Outcomes that a set may hold by column of sets, joined by or; either is the event or its absence. "
        "They are valid at the end of the window only"
    )
    limits: dict[str, float | None] = Field(description="Fewest measurements and variables of a stay that is scored")
    weights: Literal["float32", "int8"] = Field(description="int8: with a float32 scale for each output")
    measured: dict[str, float] = Field(description="Differences from the bundle on stays, sizes in bytes, accuracy")
    sha256: dict[str, str] = Field(
        description="sha256 of each file; of contract.json, as JSON of sorted keys without it"
    )


def contract_of(
    model: Model, vocabulary: tuple[str, ...], *, weights: str, measured: dict[str, float], sha256: dict[str, str]
) -> Contract:
    """Describe an exported model.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        The model.
    vocabulary : tuple of str
        Coded events that it knows.
    weights : {"float32", "int8"}
        Type of the weights.
    measured : dict of str to float
        Figures of the export.
    sha256 : dict of str to str
        sha256 of the other files.

    Returns
    -------
    Contract
    """
    inputs = [*INPUTS, *(CODE_INPUTS if vocabulary else ())]
    static = len(model.static_variables_)
    columns = list(model.score_columns_)
    return Contract(
        format=ONNX_FORMAT,
        model_hash=model_hash(model),
        task=model.task_.to_dict(),
        variables=[_input(variable) for variable in model.variables_],
        static_variables=[_input(variable) for variable in model.static_variables_],
        code_vocabulary=list(vocabulary),
        inputs=[
            Tensor(name=name, dtype=dtype, shape=[static if a == "static variable" else a for a in axes], meaning=words)
            for name, dtype, axes, words in inputs
        ],
        outputs=[
            Tensor(name="scores", dtype="float64", shape=[STAY, len(columns)], meaning="calibrated probabilities"),
            Tensor(
                name="member_scores",
                dtype="float64",
                shape=[len(getattr(model, "members_", [model])), STAY, len(columns)],
                meaning="those of each network of an ensemble",
            ),
        ],
        score_columns=columns,
        prediction_sets=contract_sets(model),
        limits=model.trained_on_.get("inputs", {}).get("limits", {}),
        weights=weights,  # type: ignore[arg-type]
        measured=measured,
        sha256=sha256,
    )


def contract_sets(model: Model) -> dict[str, list[SetMember]]:
    """Describe the prediction sets of a model by score limits.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        The model.

    Returns
    -------
    dict of str to list of SetMember
        For each column of sets, the outcomes that a set may hold; none where the model has no such sets.
    """
    sets = model.prediction_sets_
    if isinstance(sets, ClassConformalSets):
        limits = [(name, sets.quantiles.get(name, ALWAYS)) for name in sets.classes]
        return {SET: [SetMember(outcome=n, score=i, low=1 - limit, high=1.0) for i, (n, limit) in enumerate(limits)]}
    names = set_columns(model.task_)
    own = [sets.labels.get(n) for n in sets.names] if isinstance(sets, LabelConformalSets) else [sets] * len(names)
    return {name: _of_outcome(i, one) for i, (name, one) in enumerate(zip(names, own, strict=True))}


def _of_outcome(score: int, sets: ConformalSets | None) -> list[SetMember]:
    if sets is None:
        return []
    event, absent = (sets.quantiles.get(name, sets.quantiles.get(EVERYONE, 0.0)) for name in (OCCURRED, ABSENT))
    with_event = SetMember(outcome=OCCURRED, score=score, low=1 - event, high=1.0)
    return [with_event, SetMember(outcome=ABSENT, score=score, low=0.0, high=absent)]


def _input(variable: Variable) -> Input:
    return Input(
        name=variable.name,
        label=variable.label,
        unit=variable.unit,
        plausible=None if variable.plausible is None else list(variable.plausible),
        merge=variable.merge,
        categories=list(variable.categories) if variable.static else [],
    )
