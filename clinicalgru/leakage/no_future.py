"""Does a risk depend on anything that was not known when it was due?"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.checks import check_number
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.events import Events
from clinicalgru.data.keep_stays import keep_stays
from clinicalgru.data.read_events import read_events
from clinicalgru.data.simulate.simulate import SimulatedCohort, simulated_as
from clinicalgru.data.task.select import select
from clinicalgru.data.task.task import Task
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.leakage.cohort_checks import (
    cohort_rows,
    features_of_sequences,
    keys_of_sequences,
    known_features,
    measurement_keys,
    split_rows,
)
from clinicalgru.leakage.perturbations import OF_OTHERS, PERTURBATIONS, Changed, NotTried, stays_corrupted
from clinicalgru.leakage.pipelines import ModelPipeline, Pipeline, as_risks, due_of
from clinicalgru.leakage.raw_tables import MEASUREMENTS, OUTCOMES, STAYS, RawTables, Tables, raw_tables, stay_names
from clinicalgru.leakage.result import COLUMNS, LEAK, NOT_TRIED, SAME, LeakageCheck

REFERENCE, REPEATED = "", "same tables again"
ENDS_REMOVED, REMOVED = "later times of stays removed", "other stays removed"
MOVED = ["check", "stay_id", "before", "after", "difference"]


def check_no_future(
    pipeline: Any,
    data: Any,
    *,
    prediction_time: Any = None,
    task: Task | None = None,
    splits: Mapping[str, Collection[Any]] | None = None,
    fit: Callable[[Tables, list[str]], Pipeline] | None = None,
    known_at_start: Collection[str] = (),
    known_later: Collection[str] = (),
    n_stays: int = 50,
    tolerance: float = 1e-6,
    random_state: int = 0,
) -> LeakageCheck:
    """Look for leaks: change all that is not known when a risk is due, and see whether the risk moves.

    Rows after the prediction time are deleted, corrupted, exchanged, moved and appended; results become available
    later; descriptors are charted again; ends, outcomes and other stays change. A row counts as known at the later of
    its `time` and `available_at`; a row without a time was not known. Where outcomes are given, window length, counts
    and single variables are tested for predicting them alone.

    Parameters
    ----------
    pipeline : estimator or callable
        A fitted model of this package, or a function from raw tables (dict of DataFrame) to risks: a Series by stay_id,
        or an array with one row per row of the stays table. It gets all stays at once.
    data : Events, SimulatedCohort or mapping of str to DataFrame
        The extract: tables "stays" (stay_id, patient_id, start, end and descriptors), "outcomes" (optional), and any
        number of tables of rows with stay_id, time and, where known, available_at.
    prediction_time : number, Series or str, optional
        When the risk of each stay is due: hours after its start, or times by stay_id, or a column of the stays table.
        Not needed for a model or with `task`.
    task : Task, optional
        A task whose prediction time and outcome hold. None: that of the model.
    splits : mapping of str to collection, optional
        stay_id by part, such as {"train": ..., "test": ...}: tested for common patients and near-duplicates.
    fit : callable, optional
        Function of raw tables and the stay_id of the training part that returns a fitted pipeline. It is called with
        the values of all other stays corrupted; with `splits`, which need a part "train".
    known_at_start : collection of str
        Tables without times whose rows are known from the start, such as home medication.
    known_later : collection of str
        Columns of the stays table that are known only later, such as a weight at discharge.
    n_stays : int
        Stays whose risks are compared, drawn at random.
    tolerance : float
        Largest difference that is none.
    random_state : int
        Seed of stays and changes.

    Returns
    -------
    LeakageCheck
        A table of all checks, the stays that moved, and one sentence.

    Raises
    ------
    ArgumentError
        If the tables, the prediction time or what the pipeline returns cannot be used.

    Notes
    -----
    Each stay is compared as if no other one were known. A pipeline that uses earlier stays of the same patient, which
    is fair, moves when these are removed: pass that history as a table of rows of the later stay.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> cohort = cg.simulate(20, random_state=0)
    >>> def last_known(tables):
    ...     rows = tables["measurements"].merge(tables["stays"][["stay_id", "start"]])
    ...     known = rows[["time", "available_at"]].max(axis=1) <= rows["start"] + pd.Timedelta(hours=12)
    ...     return rows[known & (rows["variable"] == "heart_rate")].groupby("stay_id")["value"].mean() / 300
    >>> import pandas as pd
    >>> cg.check_no_future(last_known, cohort, prediction_time=12).passed
    True
    """
    check_number("n_stays", n_stays, minimum=2, whole=True)
    check_number("tolerance", tolerance, minimum=0)
    rng = np.random.default_rng(random_state)
    known = {"known_at_start": frozenset(known_at_start), "known_later": frozenset(known_later)}
    case = _case(pipeline, data, prediction_time, task, known)
    comparison = _Comparison(case.pipeline, case.sample(rng.permutation(case.due.index)[:n_stays]), tolerance, rng)
    comparison.compare_perturbed()
    if fit is not None:
        comparison.compare_fits(fit, case.sample(case.due.index), splits)
    rows = comparison.rows + cohort_rows(*case.features())
    if splits is not None:
        rows += split_rows(case.keys(), case.stays, splits, random_state=random_state)
    moved = pd.concat(comparison.moved, ignore_index=True) if comparison.moved else pd.DataFrame(columns=MOVED)
    return LeakageCheck(pd.DataFrame(rows, columns=COLUMNS), moved, tolerance, case.simulated)


@dataclass(frozen=True, eq=False)
class _Case:
    """What is checked: a pipeline, its extract, and when each risk is due."""

    pipeline: Pipeline
    due: pd.Series
    stays: pd.DataFrame
    simulated: bool
    sample: Callable[[Any], RawTables]
    features: Callable[[], tuple[pd.DataFrame, pd.DataFrame]]
    keys: Callable[[], pd.DataFrame]


def _case(pipeline: Any, data: Any, prediction_time: Any, task: Task | None, known: dict[str, Any]) -> _Case:
    is_model = hasattr(pipeline, "score_rows") and hasattr(pipeline, "has_observations")
    if not is_model and not callable(pipeline):
        fix = "Pass a fitted model, or a function of raw tables."
        raise ArgumentError("a fitted model or a function", describe(pipeline), fix, where="pipeline")
    task = pipeline.task_ if is_model else task
    if isinstance(data, Events):
        if task is None:
            raise ArgumentError("a task", "none", "Pass task=, or raw tables.", where="task")
        return _case_of_events(pipeline, data, task, known, is_model=is_model)
    tables = raw_tables(data)
    simulated = isinstance(data, SimulatedCohort) or simulated_as(data.get(MEASUREMENTS)) is not None
    if task is None:
        due = _given_due(prediction_time, tables[STAYS])
    else:
        dictionary = _dictionary(*((pipeline.variables_, pipeline.static_variables_) if is_model else ()))
        events = _read(tables, dictionary)
        due, due_hours = due_of(events, task, select(events, task, include_ineligible=True))
        pipeline = ModelPipeline(pipeline, dictionary, due_hours) if is_model else pipeline
    raw = RawTables(tables, due, simulated=simulated, **known)
    return _Case(
        pipeline,
        due,
        tables[STAYS],
        simulated,
        sample=raw.of_stays,
        features=lambda: (known_features(raw), _outcome_columns(raw, task)),
        keys=lambda: measurement_keys(raw),
    )


def _case_of_events(pipeline: Any, events: Events, task: Task, known: dict[str, Any], *, is_model: bool) -> _Case:
    """Of events only the sampled stays become tables; the whole cohort stays as it is."""
    names, whole = stay_names(events), select(events, task, include_ineligible=True)
    due, due_hours = due_of(events, task, whole)
    dictionary = _dictionary(events.variables, events.static_variables)

    def sample(stay_ids: Any) -> RawTables:
        tables = raw_tables(keep_stays(events, names.isin(stay_ids).to_numpy()))
        return RawTables(tables, due[due.index.isin(stay_ids)], simulated=events.simulated, **known)

    def features() -> tuple[pd.DataFrame, pd.DataFrame]:
        outcomes = events.stays[[name for name in events.outcomes if name in task.outcomes]]
        return features_of_sequences(whole), _only_binary(outcomes)

    return _Case(
        ModelPipeline(pipeline, dictionary, due_hours) if is_model else pipeline,
        due,
        events.stays[["patient_id"]].assign(stay_id=names),
        events.simulated,
        sample=sample,
        features=features,
        keys=lambda: keys_of_sequences(whole, names.to_numpy()),
    )


def _dictionary(*groups: Any) -> Dictionary:
    """The shipped variables, and those of a model or an extract over them."""
    own = {variable.name: variable for group in groups for variable in group}
    return Dictionary((dict(Dictionary.load()) | own).values())


def _read(tables: Tables, dictionary: Dictionary) -> Events:
    options: dict[str, Any] = {"variables": dictionary, "max_rejected": 1.0, "allow": "all"}
    return read_events(tables[MEASUREMENTS], stays=tables[STAYS], outcomes=tables.get(OUTCOMES), **options)


def _given_due(prediction_time: Any, stays: pd.DataFrame) -> pd.Series:
    """Prediction time by stay_id."""
    fix = "Pass hours after the start, times by stay_id, or the name of a column of the stays table."
    by_stay = stays.set_index("stay_id")
    if isinstance(prediction_time, str) and prediction_time in by_stay:
        return by_stay[prediction_time].dropna()
    if isinstance(prediction_time, pd.Series):
        return prediction_time.set_axis(prediction_time.index.astype(str)).reindex(by_stay.index).dropna()
    if isinstance(prediction_time, bool) or not isinstance(prediction_time, numbers.Real):
        raise ArgumentError("a prediction time", describe(prediction_time), fix, where="prediction_time")
    if "start" not in by_stay or pd.api.types.is_numeric_dtype(by_stay["start"]):
        start = by_stay["start"].fillna(0) if "start" in by_stay else pd.Series(0.0, index=by_stay.index)
        return start + float(prediction_time)
    return (by_stay["start"] + pd.Timedelta(hours=float(prediction_time))).dropna()


def _outcome_columns(raw: RawTables, task: Task | None) -> pd.DataFrame:
    """Outcomes of 0 and 1 by stay_id: those of the task, or all of the table."""
    if OUTCOMES not in raw.tables:
        return pd.DataFrame(index=raw.due.index)
    table = raw.tables[OUTCOMES].drop_duplicates("stay_id").set_index("stay_id")
    names = [name for name in table if task is None or name in task.outcomes]
    return _only_binary(table[names].reindex(raw.due.index))


def _only_binary(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table.apply(pd.to_numeric, errors="coerce")
    return numbers[[name for name in numbers if numbers[name].dropna().isin([0, 1]).all()]].astype(float)


@dataclass
class _Comparison:
    """Compares the risks of perturbed tables with those of the extract, and collects rows of the result."""

    pipeline: Pipeline
    raw: RawTables
    tolerance: float
    rng: np.random.Generator
    rows: list[dict[str, Any]] = field(default_factory=list)
    moved: list[pd.DataFrame] = field(default_factory=list)

    def compare_perturbed(self) -> None:
        """Try every perturbation."""
        changed = {name: self._changed(name, change) for name, change in {**PERTURBATIONS, **OF_OTHERS}.items()}
        tried = {name: change for name, change in changed.items() if isinstance(change, Changed)}
        many = {REFERENCE: self.raw.tables, REPEATED: self.raw.tables}
        many |= {name: change.tables for name, change in tried.items()}
        others = {f"{name} compared": change.compared_with for name, change in tried.items()}
        many |= {name: tables for name, tables in others.items() if tables is not None}
        risks = self._risks(many)
        if not risks[REFERENCE].notna().to_numpy().any():
            fix = "Check the prediction time, the tables and the identifiers."
            raise ArgumentError("a risk of some stay", "none", fix, where="pipeline")
        self._add(REPEATED, 0, risks[REFERENCE], risks[REPEATED])
        for name, change in changed.items():
            if isinstance(change, NotTried):
                self.rows.append({"check": name, "result": NOT_TRIED, "note": str(change)})
                continue
            before = risks.get(f"{name} compared", risks[REFERENCE])
            after, kept = risks[name], self.raw.due.index[:: 2 if name in OF_OTHERS else 1]
            self._add(name, change.n_rows, before[before.index.isin(kept)], after[after.index.isin(kept)])

    def compare_fits(self, fit: Any, whole: RawTables, splits: Mapping[str, Collection[Any]] | None) -> None:
        """Fit with the rows of all but the training stays corrupted: the risks may not notice."""
        if splits is None or "train" not in splits:
            raise ArgumentError("splits with a part train", "none", 'Pass splits={"train": ..., "test": ...}.')
        train = [str(name) for name in splits["train"]]
        other = [str(name) for part, names in splits.items() if part != "train" for name in names]
        changed = stays_corrupted(whole, other, self.rng)
        before = as_risks(fit(_copied(whole.tables), train)(self.raw.tables), self.raw.tables)
        after = as_risks(fit(_copied(changed.tables), train)(self.raw.tables), self.raw.tables)
        self._add("test rows corrupted before the fit", changed.n_rows, before, after)

    def _changed(self, name: str, change: Any) -> Changed | NotTried:
        try:
            done: Changed = change(self.raw, self.rng)
        except NotTried as reason:
            return reason
        return done

    def _risks(self, many: Mapping[str, Tables]) -> dict[str, pd.DataFrame]:
        if isinstance(self.pipeline, ModelPipeline):
            alone = {name: tables for name, tables in many.items() if name == REMOVED}  # all others are together
            joint = self.pipeline.together({name: tables for name, tables in many.items() if name not in alone})
            return joint | {name: as_risks(self.pipeline(tables), tables) for name, tables in alone.items()}
        return {name: as_risks(self.pipeline(_copied(tables)), tables) for name, tables in many.items()}

    def _add(self, name: str, n_rows: int, before: pd.DataFrame, after: pd.DataFrame) -> None:
        """Compare, and note what moved; a risk that appeared or vanished counts as infinite."""
        every = before.index.union(after.index)
        before, after = before.reindex(every), after.reindex(every)
        unlike = before.isna() != after.isna()
        gap = (after - before).abs().mask(unlike, np.inf).fillna(0.0).max(axis=1).fillna(0.0)
        note = ""
        if name == ENDS_REMOVED and np.isinf(gap).any():  # an end not recorded is not a stay that goes on
            note, gap = "stays without a recorded end have no risk", gap[~np.isinf(gap)]
        moved = gap[gap > self.tolerance]
        self.rows.append(
            {
                "check": name,
                "result": LEAK if len(moved) else SAME,
                "rows_changed": n_rows,
                "n_stays": len(gap),
                "n_moved": len(moved),
                "largest_difference": float(gap.max()) if len(gap) else 0.0,
                "note": note,
            }
        )
        column = (after - before).abs().loc[moved.index].fillna(np.inf).to_numpy().argmax(axis=1) if len(moved) else []
        row = np.arange(len(moved))
        values = {
            key: table.loc[moved.index].to_numpy()[row, column] for key, table in (("before", before), ("after", after))
        }
        part = {"check": name, "stay_id": moved.index, **values, "difference": moved.to_numpy()}
        if len(moved):
            self.moved.append(pd.DataFrame(part, columns=MOVED))


def _copied(tables: Tables) -> Tables:
    """Copies, so that a pipeline that writes into its tables changes nothing of ours."""
    return {name: table.copy() for name, table in tables.items()}
