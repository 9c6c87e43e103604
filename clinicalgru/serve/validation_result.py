"""The result of validating a model elsewhere: evaluation, case mix, mismatches, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.dictionary.unit_text import format_unit
from clinicalgru.disclosure import MIN_CELL_SIZE, is_small
from clinicalgru.evaluate.bootstrap import MIN_EVENTS
from clinicalgru.evaluate.details_text import captioned_tables
from clinicalgru.evaluate.evaluation import Evaluation
from clinicalgru.evaluate.evaluation_summary import summary_sentences
from clinicalgru.evaluate.evaluation_text import as_text, hours_table, metrics_table, note
from clinicalgru.evaluate.hour_checks import TOLERATED, calibration_verdict
from clinicalgru.evaluate.metric_descriptions import metric_label
from clinicalgru.evaluate.multiplicity import too_few_text
from clinicalgru.evaluate.patient_overlap import overlap_sentences
from clinicalgru.markdown import escape_markdown, markdown_table
from clinicalgru.serve.case_mix import LARGE
from clinicalgru.serve.recalibrate import Recalibration

FITS, MISFIT, UNCLEAR = "fits", "does not fit", "unclear"
EXIT_CODES: Mapping[str, int] = {FITS: 0, MISFIT: 6, UNCLEAR: 7}
CALIBRATION = ("observed : expected", "calibration slope")  # of sentences that belong to the verdict
MAX_ROWS = 12  # of the case mix in a text


@dataclass(frozen=True, eq=False)
class Validation:
    """A model on the stays of another place or time.

    Attributes
    ----------
    evaluation : Evaluation
        Of the model on these stays.
    status : str
        "fits", "does not fit", or "unclear" where there are too few events to say.
    verdict : str
        The same in a sentence, with what to do.
    case_mix : DataFrame
        Inputs of training next to those here, as of `compare_case_mix`.
    differences : tuple of str
        How the extract differs from that of training: absent or rare variables, units, amounts, tables.
    unmapped : DataFrame
        Codes of the extract without a variable, as of `unmapped`; of at least 11 rows.
    provenance : mapping of str to str
        Model, training data and these data.
    about : mapping
        ledger and flow, for the page.
    recalibration : Recalibration or None
        The recalibrated model, where that was requested.
    not_recalibrated : str
        Why these stays could not recalibrate the model, where that was requested; else "".
    """

    evaluation: Evaluation
    status: str
    verdict: str
    case_mix: pd.DataFrame
    differences: tuple[str, ...]
    unmapped: pd.DataFrame
    provenance: Mapping[str, str]
    about: Mapping[str, Any] = field(default_factory=dict)
    recalibration: Recalibration | None = None
    not_recalibrated: str = ""

    @property
    def exit_code(self) -> int:
        """0: the risks fit; 6: they do not; 7: too few events to say, or no recalibration where one was requested."""
        return EXIT_CODES[self.status] or (EXIT_CODES[UNCLEAR] if self.not_recalibrated else 0)

    @property
    def recalibration_sentences(self) -> list[str]:
        """What recalibration did, or why there was none; empty where none was requested."""
        refused = [f"Not recalibrated. {self.not_recalibrated}"] if self.not_recalibrated else []
        return self.recalibration.sentences if self.recalibration else refused

    def __str__(self) -> str:
        parts = [
            self.verdict,
            as_text(self.evaluation, without=self.verdict),
            "Inputs in training and here\n" + self._case_mix_text(),
        ]
        parts += [
            "Differences from the training extract\n" + "\n".join(f"- {one}" for one in self.differences or ["none"])
        ]
        if len(self.unmapped):
            parts.append("Codes without a variable\n" + self.unmapped.head(MAX_ROWS).to_string(index=False))
        change = str(self.recalibration) if self.recalibration else " ".join(self.recalibration_sentences)
        return "\n\n".join([*parts, *([change] if change else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p><strong>{self.status}</strong></p>" + self.evaluation._repr_html_()

    def _case_mix_text(self) -> str:
        if self.case_mix.empty:
            return "The model knows nothing of its inputs."
        largest = self.case_mix["difference"].abs().sort_values(ascending=False, na_position="last").index[:MAX_ROWS]
        rest = len(self.case_mix) - len(largest)
        more = f"\n{rest} more variables are in the table and on the page." if rest > 0 else ""
        return _case_mix_table(self.case_mix.loc[largest]).to_string() + more

    def case_mix_rows(self) -> pd.DataFrame:
        """Return the case mix as text, a row for each variable.

        Returns
        -------
        DataFrame
            As of `_case_mix_table`.
        """
        return _case_mix_table(self.case_mix)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        Returns
        -------
        dict
            Numbers, text and lists; an unknown number is None.
        """
        change = self.recalibration
        return {
            "status": self.status,
            "verdict": self.verdict,
            "evaluation": self.evaluation.to_dict(),
            "case_mix": _rows(self.case_mix),
            "differences": list(self.differences),
            "unmapped": _rows(self.unmapped),
            "provenance": dict(self.provenance),
            "not_recalibrated": self.not_recalibrated,
            "recalibration": None
            if change is None
            else {
                "method": change.method,
                "intercept": change.intercept,
                "slope": change.slope,
                "table": _rows(change.table),
                "changes": change.model.changes_,
            },
        }

    def to_html(self, path: str | Path, *, min_cell_size: int = MIN_CELL_SIZE) -> Path:
        """Write the validation as one offline HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.
        min_cell_size : int
            Smallest count that may be shown; 0 shows all.

        Returns
        -------
        Path
            The file.
        """
        from clinicalgru.display import to_html

        return to_html(self, path, min_cell_size=min_cell_size)

    def to_markdown(self) -> str:
        """Return the validation in Markdown.

        Returns
        -------
        str
            Verdict, figures, case mix, differences.
        """
        evaluation = self.evaluation
        tables = {"All metrics": metrics_table(evaluation)}
        tables |= {} if evaluation.by_hour.empty else {"By hour": hours_table(evaluation)}
        tables |= captioned_tables(evaluation)
        if not self.case_mix.empty:
            tables["Inputs in training and here"] = _case_mix_table(self.case_mix)
        parts = ["# Validation", f"**{escape_markdown(self.verdict)}**"]
        parts += ["\n".join(f"- {escape_markdown(one)}" for one in summary_sentences(evaluation, without=self.verdict))]
        parts += [f"## {escape_markdown(title)}\n\n{_markdown(shown)}" for title, shown in tables.items()]
        listed = [*self.differences] or ["none"]
        parts.append(
            "## Differences from the training extract\n\n" + "\n".join(f"- {escape_markdown(x)}" for x in listed)
        )
        if len(self.unmapped):
            parts.append(
                "## Codes without a variable\n\n" + markdown_table([*self.unmapped.columns], self.unmapped.to_numpy())
            )
        if self.recalibration_sentences:
            parts.append("## Recalibration\n\n" + escape_markdown(" ".join(self.recalibration_sentences)))
        if self.recalibration is not None:
            shown = self.recalibration.shown_table
            parts.append(markdown_table([*shown.columns], shown.to_numpy()))
        origin = [f"- {escape_markdown(name)}: {escape_markdown(text)}" for name, text in self.provenance.items()]
        return "\n\n".join([*parts, escape_markdown(note(evaluation)), "## Provenance\n\n" + "\n".join(origin)]) + "\n"


def format_or_dash(value: Any, style: str) -> str:
    """Format a number, or a dash where it is not known.

    Parameters
    ----------
    value : float
        A number, or NaN.
    style : str
        A format specification.

    Returns
    -------
    str
        Its text.
    """
    return "–" if pd.isna(value) else f"{value:{style}}"


def _case_mix_table(case_mix: pd.DataFrame) -> pd.DataFrame:
    """Return the case mix as text."""

    def pair(row: Any, name: str, style: str) -> str:
        texts = [format_or_dash(getattr(row, f"{name}_{place}"), style) for place in ("training", "here")]
        return texts[0] if texts[0] == texts[1] == "–" else " / ".join(texts)

    def mean(row: Any, place: str) -> str:
        value, groups = getattr(row, f"mean_{place}"), getattr(row, f"range_{place}")
        return format_or_dash(value, f",.{row.decimals}f") + (f" ({groups})" if groups else "")

    records: Any = case_mix.itertuples(index=False)
    rows = {
        ", ".join(filter(None, (row.variable, format_unit(row.unit)))): [
            pair(row, "share", ".0%"),
            pair(row, "per_stay", ".1f"),
            mean(row, "training"),
            mean(row, "here"),
            format_or_dash(row.difference, "+.2f") + (" !" if abs(row.difference) >= LARGE else ""),
        ]
        for row in records
    }
    names = [
        "Stays with a value, training / here",
        "Values per stay, training / here",
        "Mean (range), training",
        "Mean (range), here",
        "Standardised difference",
    ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def verdict_of(evaluation: Evaluation) -> tuple[str, str]:
    """Give status and verdict of an evaluation elsewhere.

    Parameters
    ----------
    evaluation : Evaluation
        Of the model on the stays of another place or time.

    Returns
    -------
    status, verdict : str
        Status "fits", "does not fit" or "unclear"; the verdict says why and what to do.

    Examples
    --------
    >>> import numpy as np
    >>> from clinicalgru import evaluate
    >>> outcome = np.repeat([0.0, 1.0], [450, 50])
    >>> verdict_of(evaluate(outcome, np.linspace(0.5, 0.9, 500), n_resamples=50))[0]
    'does not fit'
    """
    status, verdict = (_binary if evaluation.task_type == "binary" else _other)(evaluation)
    return status, " ".join([verdict, *overlap_sentences(evaluation.patient_overlap, evaluation.stays)])


def _binary(evaluation: Evaluation) -> tuple[str, str]:
    own = evaluation.metrics.query("model == @evaluation.name").set_index("metric")
    events = evaluation.events or 0
    if (evaluation.smaller_class or 0) < MIN_EVENTS:
        auroc = float(own["estimate"].astype(float)["auroc"])
        few = too_few_text(events, evaluation.stays, auroc, patients=evaluation.class_patients)
        return UNCLEAR, f"No verdict: {few}. Do not use the model here before that."
    intervals = {str(name): (float(row["low"]), float(row["high"])) for name, row in own.iterrows()}
    low, high = intervals["auroc"]
    estimates: Any = own["estimate"].to_dict()
    shown = f"AUROC {estimates['auroc']:.2f}, {low:.2f} to {high:.2f}"
    if not high > 0.5:
        return MISFIT, f"The model ranks the patients the wrong way ({shown}); do not use it here."
    calibrated = calibration_verdict(intervals)
    level = " ".join(one for one in summary_sentences(evaluation) if any(name in one for name in CALIBRATION))
    ranks = f"The model {'ranks' if low > 0.5 else 'may not rank'} the patients better than chance here ({shown})"
    if calibrated == "no":
        return (
            MISFIT,
            f"{ranks}, {'but' if low > 0.5 else 'and'} its risks do not fit; do not use them as they are. {level}",
        )
    if calibrated == "yes" and low > 0.5:
        return FITS, f"{ranks}, and its risks fit. {level}"
    names = {name: (metric_label(name, direction=False).lower(), *ends) for name, ends in TOLERATED.items()}
    open_ = [
        f"{label} {intervals[name][0]:.2f} to {intervals[name][1]:.2f}, tolerated {least:g} to {most:g}"
        for name, (label, least, most) in names.items()
        if not (intervals[name][0] >= least and intervals[name][1] <= most)
    ]
    unknown = f" that its risks fit ({'; '.join(open_)})" if open_ else " that it ranks them"
    return UNCLEAR, f"{ranks}; these stays do not show{unknown}. {level}"


def _other(evaluation: Evaluation) -> tuple[str, str]:
    """Other types of task: the primary metric against no skill, where that is known."""
    rows = evaluation.metrics.query("model == @evaluation.name and metric == @evaluation.primary")
    if rows.empty or np.isnan(rows["low"].iloc[0]):
        return UNCLEAR, "No verdict: too few stays for an interval."
    low, high = float(rows["low"].iloc[0]), float(rows["high"].iloc[0])
    chance = NO_SKILL.get(evaluation.primary)
    shown = f"{evaluation.primary} {low:.2f} to {high:.2f}"
    if chance is None:
        return UNCLEAR, f"No verdict of fit for this type of task ({shown}); compare with the figures of training."
    if low > chance:
        return FITS, f"The model is better than no model here ({shown})."
    return (MISFIT if high <= chance else UNCLEAR), f"The model may be no better than no model here ({shown})."


NO_SKILL: Mapping[str, float] = {"auroc_mean": 0.5, "concordance": 0.5, "utility": 0.0}


def shown_unmapped(table: pd.DataFrame, *, min_cell_size: int = MIN_CELL_SIZE) -> pd.DataFrame:
    """Leave out codes of few rows.

    Parameters
    ----------
    table : DataFrame
        As of `unmapped`.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    DataFrame
        The other codes.
    """
    small = table["rows"].map(lambda rows: is_small(rows, min_cell_size))
    return table[~small.astype(bool)].reset_index(drop=True)


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _markdown(shown: pd.DataFrame) -> str:
    rows: Any = shown.itertuples()
    return markdown_table(["", *shown.columns], [[name, *row] for name, *row in rows])
