"""Pipelines from raw tables to risks: those of fitted models, and how any pipeline's answer is read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import HOUR, Events
from clinicalgru.data.read_events import read_events
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.select import select
from clinicalgru.data.task.stay_times import stay_times
from clinicalgru.data.task.task import Task
from clinicalgru.data.task.window import prediction_hours
from clinicalgru.errors import ArgumentError, ClinicalGRUWarning, describe
from clinicalgru.leakage.raw_tables import MEASUREMENTS, OUTCOMES, STAYS, Tables, stay_names
from clinicalgru.model.estimators.registry import FittedModel

Pipeline = Callable[[Tables], Any]
COPY = "~"  # between a stay_id and the number of its copy


@dataclass(frozen=True, eq=False)
class ModelPipeline:
    """A fitted model as a pipeline: reads raw tables, selects the window of its task, and predicts each stay.

    Attributes
    ----------
    model : estimator
        The model.
    dictionary : Dictionary
        Variables of the extract.
    due_hours : Series, optional
        For a task with a prediction after each time step: the hour, by stay_id, whose risk is compared.
    """

    model: FittedModel
    dictionary: Dictionary
    due_hours: pd.Series | None = None

    def __call__(self, tables: Tables) -> pd.DataFrame:
        """Predict.

        Parameters
        ----------
        tables : dict of str to DataFrame
            Raw tables.

        Returns
        -------
        DataFrame
            What the model predicts, by stay_id; empty where nothing was measured.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClinicalGRUWarning)
            events = read_events(
                tables[MEASUREMENTS],
                stays=tables[STAYS],
                outcomes=tables.get(OUTCOMES),
                variables=self.dictionary,
                max_rejected=1.0,
                allow="all",
            )
        model = self.model
        stays = select(events, model.task_, include_ineligible=True)
        stays = stays.with_variables(model.variables_).with_static_variables(model.static_variables_)
        known = np.asarray(model.has_observations(stays))
        rows = self._predicted(stays[known]) if known.any() else np.zeros((0, 1))
        result = np.full((len(stays), rows.shape[1]), np.nan)
        result[known] = rows
        return pd.DataFrame(result, index=pd.Index(stays.stay.astype(str), name="stay_id"))

    def together(self, many: Mapping[str, Tables]) -> dict[str, pd.DataFrame]:
        """Predict several versions of an extract in one reading: the stays of each get names of their own.

        Parameters
        ----------
        many : mapping of str to dict
            Raw tables by name of their version.

        Returns
        -------
        dict of str to DataFrame
            The predictions of each version.
        """
        copies = [
            {name: _renamed(table, f"{COPY}{number}") for name, table in tables.items()}
            for number, tables in enumerate(many.values())
        ]
        predicted = _self_or_due(self, copies)(
            {name: pd.concat([copy[name] for copy in copies], ignore_index=True) for name in copies[0]}
        )
        result = {}
        for number, name in enumerate(many):
            ending = f"{COPY}{number}"
            own = predicted[predicted.index.str.endswith(ending)]
            result[name] = own.set_axis(own.index.str.removesuffix(ending), axis=0)
        return result

    def _predicted(self, stays: Sequences) -> np.ndarray:
        """(stay, column) the predictions; of a model for each time step, the last one made by the hour it is due."""
        if self.due_hours is None:
            return np.asarray(self.model.score_rows(stays), dtype=float)
        due = pd.Series(stays.stay.astype(str)).map(self.due_hours).to_numpy(dtype=float)
        whole = _every_step(self.model, stays)
        hours = stays.hours[stays.is_new_step]
        stay = np.repeat(np.arange(len(stays)), stays.n_steps)
        last = np.bincount(stay[hours <= due[stay]], minlength=len(stays))
        first = np.cumsum(stays.n_steps) - stays.n_steps
        result = np.full((len(stays), whole.shape[1]), np.nan)
        result[last > 0] = whole[(first + last - 1)[last > 0]]
        return result


def _self_or_due(pipeline: ModelPipeline, copies: list[Tables]) -> ModelPipeline:
    """Give a pipeline that knows the hours of renamed copies too."""
    if pipeline.due_hours is None:
        return pipeline
    due = [pipeline.due_hours.set_axis(pipeline.due_hours.index + f"{COPY}{i}") for i in range(len(copies))]
    return ModelPipeline(pipeline.model, pipeline.dictionary, pd.concat(due))


def _renamed(table: pd.DataFrame, ending: str) -> pd.DataFrame:
    names = [name for name in ("stay_id", "patient_id") if name in table]
    return table.assign(**{name: table[name].astype(str) + ending for name in names})


def _every_step(model: Any, stays: Sequences) -> np.ndarray:
    """(step, column) the predictions after each time step."""
    if model.task_.task_type == "early_warning":
        return np.asarray(model.predict_proba(stays))[:, 1:]
    forecast = model.predict(stays)["median"].to_numpy(dtype=float)
    return forecast.reshape(int(stays.n_steps.sum()), -1)


def due_of(events: Events, task: Task, stays: Sequences) -> tuple[pd.Series, pd.Series | None]:
    """Compute when the prediction of each stay is due.

    Parameters
    ----------
    events : Events
        The extract.
    task : Task
        The task.
    stays : Sequences
        All its stays, in the order of `events.stays`.

    Returns
    -------
    due : Series
        By stay_id: dates, or hours where the extract has none; only of stays that reach the index time.
    due_hours : Series or None
        For a task with a prediction after each time step, hours since the index time: of the middle time step.
    """
    times = stay_times(events, task)
    hours = prediction_hours(times, task)
    if task.every_step:
        first = np.cumsum(stays.n_steps) - stays.n_steps
        middle = stays.hours[stays.is_new_step][np.minimum(first + stays.n_steps // 2, stays.n_steps.sum() - 1)]
        hours = np.where(stays.n_steps > 0, middle, hours)
    names = stay_names(events).to_numpy()
    at = times.anchor + np.round(hours * HOUR).astype(np.int64)
    due = pd.Series(at.view("datetime64[us]") if events.has_dates else at / HOUR, index=names)
    reached = times.reached & (stays.n_measurements > 0)
    return due[reached], pd.Series(hours, index=names)[reached] if task.every_step else None


def as_risks(answer: Any, tables: Tables) -> pd.DataFrame:
    """Read what a pipeline returned: numbers by stay_id.

    Parameters
    ----------
    answer : Series, DataFrame, mapping or array
        By stay_id in the index or a column of that name; an array has one row per row of the stays table.
    tables : dict of str to DataFrame
        What the pipeline got.

    Returns
    -------
    DataFrame
        Numbers by stay_id.

    Raises
    ------
    ArgumentError
        If it is none of these.
    """
    if isinstance(answer, Mapping):
        answer = pd.Series(answer)
    if isinstance(answer, pd.DataFrame) and "stay_id" in answer:
        answer = answer.set_index("stay_id")
    if not isinstance(answer, pd.Series | pd.DataFrame):
        array = np.asarray(answer, dtype=object)
        if array.ndim not in (1, 2) or len(array) != len(tables[STAYS]):
            fix = "Return a Series of risks by stay_id."
            raise ArgumentError("one risk per stay", describe(answer), fix, where="pipeline")
        answer = pd.DataFrame(array, index=tables[STAYS]["stay_id"])
    table = pd.DataFrame(answer).select_dtypes(exclude=["datetime", "timedelta"])
    numbers = table.apply(pd.to_numeric, errors="coerce").astype(float)
    numbers.index = numbers.index.astype(str)
    if numbers.index.has_duplicates:
        fix = "Return the risk at the prediction time only."
        raise ArgumentError("one row for each stay_id", "several", fix, where="pipeline")
    return numbers.set_axis(range(numbers.shape[1]), axis=1)
