"""The result of a comparison with training: text, page, JSON, and the code with which a command ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ALL = "all patients"
DRIFTED = 9  # exit code
MAX_ROWS = 20  # of alarms in a text
WORDS: Mapping[str, str] = {
    "missing": "patients without it",
    "values": "patients whose mean is above the median of training; p of the whole distribution",
    "extremes": "patients with values beyond nearly all of training: a unit, or errors",
    "frequency": "patients with more measurements than the median of training; p of the whole distribution",
    "scores": "risks above the median of calibration; p of the whole distribution",
    "performance": "outcomes against risks",
}
PHRASES: Mapping[str, str] = {  # of a sentence: what is compared in how many patients
    "missing": "{name} missing",
    "values": "{name} above the median of training",
    "extremes": "extreme values of {name}",
    "frequency": "{name} measured more often than the median of training",
    "scores": "risk above the median of calibration",
    "performance": "{name}",
}
MAX_NAMED = 5  # alarms of a sentence


@dataclass(frozen=True, eq=False)
class Drift:
    """New patients next to those of training.

    Attributes
    ----------
    table : DataFrame
        A row for each comparison: group and label ("all patients", "week" with its Monday, or a group column with a
        label), patients (rounded down to hundreds), kind ("missing", "values", "extremes", "frequency", "scores",
        "performance"), variable, expected and found (share of patients without it; mean risk and event rate), p_value,
        limit, alarm.
    notes : tuple of str
        What was not compared, and whether patients are those of training.
    provenance : mapping of str to str
        Model, training data and these data.
    simulated : bool
        Whether the patients are synthetic.
    labels : mapping of str to str
        Label of each variable by its name: text and page show it, `table` and `to_dict` keep the name.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]
    provenance: Mapping[str, str]
    simulated: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def alarms(self) -> pd.DataFrame:
        """Rows with an alarm, the clearest first."""
        rows = self.table[self.table["alarm"]]
        return rows.loc[(rows["p_value"] / rows["limit"]).sort_values(kind="stable").index]

    @property
    def exit_code(self) -> int:
        """0: no alarm; 9: at least one."""
        return DRIFTED if self.table["alarm"].any() else 0

    @property
    def sentence(self) -> str:
        """What was found, in one sentence: the clearest alarms with the shares here and in training."""
        count, n = int(self.table["alarm"].sum()), len(self.table)
        if count == 0:
            return f"No alarm in {n:,} comparisons with training."
        alarms = self.alarms
        alarms = alarms.loc[(alarms["group"] != ALL).sort_values(kind="stable").index]  # those of all patients first
        clearest = alarms.drop_duplicates(["kind", "variable"])
        parts = [
            _phrase(self.labels.get(row["variable"], row["variable"]), row)
            for row in clearest.head(MAX_NAMED).to_dict("records")
        ]
        more = f"; and {len(clearest) - MAX_NAMED} more" if len(clearest) > MAX_NAMED else ""
        start = f"{count:,} alarm{'s' if count > 1 else ''} in {n:,} comparisons with training"
        return f"{start}: {'; '.join(parts)}{more}."

    def __str__(self) -> str:
        shown = _drift_rows(self.alarms.head(MAX_ROWS), self.labels)
        parts = [self.sentence] + ([] if shown.empty else [shown.to_string(index=False)])
        rest = len(self.alarms) - MAX_ROWS
        parts += [f"{rest} more alarms are in the table and on the page."] if rest > 0 else []
        return "\n\n".join([*parts, *self.notes])

    __repr__ = __str__

    def by_group(self) -> pd.DataFrame:
        """Count the alarms of all patients, of each week and of each group.

        Returns
        -------
        DataFrame
            group, label, patients, mean risk and event rate where they are known, and alarms of each kind.
        """
        keys = ["group", "label", "patients"]
        kinds = self.table.pivot_table(
            index=keys, columns="kind", values="alarm", aggfunc="sum", sort=False, observed=True
        )
        rates = self.table[self.table["variable"] == "event rate"].set_index(keys)[["expected", "found"]]
        names = {"expected": "mean risk", "found": "event rate"}
        joined = rates.rename(columns=names).reindex(kinds.index).join(kinds.fillna(0).astype(int))
        return joined.rename_axis(columns=None).reset_index()

    def rows(self, *, alarms: bool = False) -> pd.DataFrame:
        """Return the comparisons of all patients, or all alarms, as text.

        Parameters
        ----------
        alarms : bool
            Whether the alarms of all patients, weeks and groups are wanted.

        Returns
        -------
        DataFrame
            As of `_drift_rows`.
        """
        return _drift_rows(self.alarms if alarms else self.table[self.table["group"] == ALL], self.labels)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        Returns
        -------
        dict
            Numbers, text and lists; an unknown number is None.
        """
        table = self.table.astype(object).where(self.table.notna(), None)
        return {
            "drift": bool(self.exit_code),
            "sentence": self.sentence,
            "alarms": int(self.table["alarm"].sum()),
            "comparisons": table.to_dict("records"),
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
            "simulated": self.simulated,
        }

    def to_html(self, path: str | Path) -> Path:
        """Write the comparison as one offline HTML page.

        Parameters
        ----------
        path : str or Path
            File to write; its folder is created.

        Returns
        -------
        Path
            The file.
        """
        from clinicalgru.display import to_html

        return to_html(self, path)


def _phrase(name: str, row: Mapping[Any, Any]) -> str:
    """What an alarm is about, with the numbers here and in training where they are not suppressed."""
    text = PHRASES[row["kind"]].format(name=name)
    if row["group"] != ALL:
        text += f" ({row['group']} {row['label']})"
    if pd.isna(row["expected"]) or pd.isna(row["found"]):
        return text
    before = "mean risk" if row["kind"] == "performance" else "calibration" if row["kind"] == "scores" else "training"
    return f"{text} {100 * row['found']:.0f} % ({before} {100 * row['expected']:.0f} %)"


def _p_text(p: float) -> str:
    """A p value with two significant digits, in full where a reader can count its zeros."""
    if p < 1e-10:
        return "< 1e-10"
    return f"{p:.2g}" if p >= 0.0001 else f"{p:.1e}"


def _drift_rows(table: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return comparisons as text, with the labels of variables."""

    def share(value: Any) -> str:
        return "-" if pd.isna(value) else f"{value:.1%}"

    return pd.DataFrame(
        {
            "Patients": (table["group"] + " " + table["label"]).str.strip(),
            "Variable": [labels.get(name, name) for name in table["variable"]],
            "Compared": table["kind"].map(WORDS),
            "Training": table["expected"].map(share),
            "Here": table["found"].map(share),
            "p": table["p_value"].map(_p_text),
            "Limit of p": table["limit"].map(_p_text),
            "Alarm": np.where(table["alarm"], "yes", ""),
        }
    ).astype(object)
