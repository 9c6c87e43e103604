"""An update of a model, held against a protocol that was declared before: pass or fail, condition by condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.errors import InputError
from clinicalgru.evaluate.bootstrap import MIN_EVENTS, class_patients, numbered_patients
from clinicalgru.evaluate.compare import Comparison, compare
from clinicalgru.evaluate.details import MIN_STAYS
from clinicalgru.evaluate.details_text import TOO_FEW
from clinicalgru.evaluate.evaluation import Evaluation, evaluate
from clinicalgru.evaluate.metric_descriptions import describe_metric, metric_label
from clinicalgru.evaluate.metrics import RISK_METRICS
from clinicalgru.evaluate.subgroups import subgroups
from clinicalgru.markdown import markdown_table

MAX_PROTOCOL_BYTES = 100_000
LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"observed_expected": (0.8, 1.25), "calibration_slope": (0.8, 1.25)}
)


class Protocol(BaseModel):
    """What an update has to meet; written and dated before the results are known.

    Parameters
    ----------
    non_inferiority : dict of str to float
        By metric, how much worse the new model may be: the 95 % interval of the difference must stay within that.
    calibration : dict of str to tuple of float
        By metric, limits within which the 95 % interval of the new model must lie.
    subgroups : list of str
        What divides the stays, as `default_groups` names it: "sex", "year", "number of measurements", or a label.
    subgroup_margin : float
        How far the AUROC of the new model may fall below that of the old one in a subgroup, as estimated: subgroups
        are mostly too small for an interval.
    min_events : int
        Patients with, and without, the event that are needed for a result.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    non_inferiority: dict[str, float] = Field(default={"auroc": 0.02})
    calibration: dict[str, tuple[float, float]] = Field(default=dict(LIMITS))
    subgroups: list[str] = Field(default=[])
    subgroup_margin: float = Field(default=0.05, ge=0)
    min_events: int = Field(default=100, ge=MIN_EVENTS)


@dataclass(frozen=True, eq=False)
class ProtocolResult:
    """Whether an update meets a protocol.

    Attributes
    ----------
    table : DataFrame
        condition, required, found (the 95 % interval; of a subgroup the two estimates), result ("pass", "fail" or
        "too few events").
    comparison : Comparison
        New minus old on the same stays.
    evaluation : Evaluation
        Of the new model.
    provenance : mapping of str to str
        Task, data and both models, by name.
    """

    table: pd.DataFrame
    comparison: Comparison
    evaluation: Evaluation
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether each condition is met."""
        return bool((self.table["result"] == "pass").all()) and len(self.table) > 0

    @property
    def exit_code(self) -> int:
        """0: passed; 6: failed; 7: no condition failed, but events are too few for some."""
        return 0 if self.passed else 6 if (self.table["result"] == "fail").any() else 7

    @property
    def verdict(self) -> str:
        """ "pass", "fail", or "no result: too few events"."""
        return {0: "pass", 6: "fail", 7: "no result: too few events"}[self.exit_code]

    @property
    def sentence(self) -> str:
        """The verdict as a sentence."""
        n_all = len(self.table)
        open_or_failed = self.table[self.table["result"] == ("fail" if self.exit_code == 6 else TOO_FEW)]
        named = "; ".join(open_or_failed["condition"])
        return {
            0: f"Pass: the new model meets each of the {n_all} conditions of the protocol.",
            6: f"Fail: the new model does not meet {len(open_or_failed)} of {n_all} conditions: {named}.",
            7: f"No result: there are too few events for {len(open_or_failed)} of {n_all} conditions: {named}.",
        }[self.exit_code]

    def __str__(self) -> str:
        return f"{self.verdict.upper()}\n\n{self.table.to_string(index=False)}\n\n{self.comparison}"

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON can hold it.

        Returns
        -------
        dict
            passed, verdict, and the conditions.
        """
        return {"passed": self.passed, "verdict": self.verdict, "conditions": self.table.to_dict("records")}

    def to_html(self, path: str | Path, *, min_cell_size: int = MIN_CELL_SIZE) -> Path:
        """Write the result as one offline HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.
        min_cell_size : int
            Smallest count that may be shown; 0 shows all, and synthetic patients are always shown.

        Returns
        -------
        Path
            The file.
        """
        from clinicalgru.display import to_html

        return to_html(self, path, min_cell_size=min_cell_size)

    def to_markdown(self) -> str:
        """Return the result in Markdown.

        Returns
        -------
        str
            Verdict and table.
        """
        head = f"# Update: {self.verdict}"
        return f"{head}\n\n{markdown_table([*self.table.columns], self.table.to_numpy().tolist())}\n"


def load_protocol(data: Protocol | Mapping[str, Any] | str | Path) -> Protocol:
    """Read a protocol from a YAML file, or check one that is given.

    Parameters
    ----------
    data : Protocol, mapping, str or Path
        A path, or the fields of `Protocol`.

    Returns
    -------
    Protocol
        The protocol.

    Raises
    ------
    InputError
        If a field is unknown, has another form, or names no metric that higher or lower values make better.

    Examples
    --------
    >>> load_protocol({"non_inferiority": {"auroc": 0.01}}).calibration["calibration_slope"]
    (0.8, 1.25)
    """
    if isinstance(data, Protocol):
        return data
    where, content = "protocol", data
    if not isinstance(data, Mapping):
        where = Path(data).name
        content = load_yaml(Path(data), error=InputError, max_bytes=MAX_PROTOCOL_BYTES)
    try:
        protocol = Protocol.model_validate(content)
    except (ValidationError, TypeError, ValueError) as error:
        got = error.errors(include_input=False)[0]["msg"] if isinstance(error, ValidationError) else "no mapping"
        fix = f"Use the fields {', '.join(Protocol.model_fields)}."
        raise InputError("a protocol as YAML", got, fix, where=where) from None
    wrong = [name for name in (*protocol.non_inferiority, *protocol.calibration) if name not in RISK_METRICS]
    wrong += [
        name for name in protocol.non_inferiority if describe_metric(name)[0].direction not in ("higher", "lower")
    ]
    _check_conditions(protocol, where)
    if wrong or any(margin < 0 for margin in protocol.non_inferiority.values()):
        got = f"{wrong[0]!r:.60}" if wrong else "a margin below 0"
        fix = f"Metrics are {', '.join(RISK_METRICS)}; margins 0 or more."
        raise InputError("metrics of a binary task, and margins of 0 or more", got, fix, where=where)
    return protocol


def _check_conditions(protocol: Protocol, where: str) -> None:
    """Refuse a protocol without a condition, and limits of calibration that nothing can meet."""
    if not (protocol.non_inferiority or protocol.calibration or protocol.subgroups):
        fix = "Name a metric under non_inferiority or calibration, or a division under subgroups."
        raise InputError("at least one condition", "none", fix, where=where)
    for name, (least, most) in protocol.calibration.items():
        if not least < most:
            fix = "Write the lower limit first."
            raise InputError(f"limits of {name} in ascending order", "others", fix, where=where)


def hold_against(
    protocol: Protocol,
    old: Any,
    new: Any,
    outcome: Any,
    *,
    patients: Any,
    groups: Mapping[str, Any],
    n_resamples: int = 1000,
) -> ProtocolResult:
    """Hold the risks of two models on the same stays against a protocol.

    Parameters
    ----------
    protocol : Protocol
        What the new model has to meet.
    old, new : array-like, shape (n_stays,)
        Risks.
    outcome : array-like, shape (n_stays,)
        0 or 1.
    patients : array-like
        Patient of each stay.
    groups : mapping of str to array-like
        Labels of the stays by what divides them.
    n_resamples : int
        Number of bootstrap resamples of the patients.

    Returns
    -------
    ProtocolResult
        A condition that the protocol names and the stays cannot answer is no pass.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> risk = rng.beta(2, 6, 2000)
    >>> outcome = (rng.random(2000) < risk).astype(float)
    >>> hold_against(Protocol(), risk, risk, outcome, patients=np.arange(2000), groups={}).passed
    True
    """
    primary = next((name for name in protocol.non_inferiority), "auroc")
    comparison = compare(
        new, old, outcome, patients=patients, names=("new", "old"), primary=primary, n_resamples=n_resamples
    )
    evaluation = evaluate(outcome, new, patients=patients, name="new", groups={}, n_resamples=n_resamples)
    true = np.asarray(outcome, dtype=float)
    few = min(class_patients(true, numbered_patients(patients, len(true)))) < protocol.min_events
    rows = [_non_inferior(name, margin, comparison.table, few) for name, margin in protocol.non_inferiority.items()]
    own: Any = evaluation.metrics.query("model == 'new'").set_index("metric")
    for name, (least, most) in protocol.calibration.items():
        low, high = float(own.at[name, "low"]), float(own.at[name, "high"])
        required = f"interval within {least:g} to {most:g}"
        rows.append(
            _row(
                f"{metric_label(name, direction=False)} of the new model",
                required,
                low,
                high,
                least <= low and high <= most,
                few,
            )
        )
    for name in protocol.subgroups:
        rows += _groups(name, groups.get(name), old, new, true, patients, protocol)
    return ProtocolResult(
        pd.DataFrame(rows, columns=["condition", "required", "found", "result"]), comparison, evaluation
    )


def _non_inferior(name: str, margin: float, table: pd.DataFrame, few: bool) -> dict[str, str]:
    row: Any = table[(table["metric"] == name) & (table["method"] == "bootstrap")].iloc[0]
    higher = describe_metric(name)[0].direction == "higher"
    low, high = float(row["low"]), float(row["high"])
    met = low >= -margin if higher else high <= margin
    required = f"new minus old at least -{margin:g}" if higher else f"new minus old at most {margin:g}"
    return _row(metric_label(name, direction=False), required, low, high, met, few)


def _row(condition: str, required: str, low: float, high: float, met: bool, few: bool) -> dict[str, str]:
    unknown = few or np.isnan(low) or np.isnan(high)
    found = "-" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
    result = TOO_FEW if unknown else "pass" if met else "fail"
    return {"condition": condition, "required": required, "found": found, "result": result}


def _groups(
    name: str, labels: Any, old: Any, new: Any, outcome: Any, patients: Any, protocol: Protocol
) -> list[dict[str, str]]:
    """The AUROC of each subgroup that is large enough, old and new; one row where there is no such division."""
    required = f"AUROC at most {protocol.subgroup_margin:g} lower"
    if labels is None:
        few = len(outcome) < MIN_STAYS
        found, result = (f"fewer than {MIN_STAYS} stays", TOO_FEW) if few else ("no such division", "fail")
        return [{"condition": f"by {name}", "required": required, "found": found, "result": result}]
    tables = [
        subgroups(outcome, risk, labels, patients=patients, metrics=["auroc"], n_resamples=50).table.set_index("group")
        for risk in (old, new)
    ]
    rows = []
    for group in [group for group in tables[0].index if group != "all"]:
        before, after = (float(table["estimate"].to_dict()[group]) for table in tables)
        known = not np.isnan(tables[1]["low"].to_dict()[group]) and not np.isnan(before)
        met = after >= before - protocol.subgroup_margin
        found = f"{before:.3f} before, {after:.3f} after" if known else "-"
        result = TOO_FEW if not known else "pass" if met else "fail"
        rows.append({"condition": f"{name}: {group}", "required": required, "found": found, "result": result})
    return rows
