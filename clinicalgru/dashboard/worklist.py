"""What a dashboard shows: a model, an extract, its scores and those of the run before. Nothing is trained."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.errors import ClinicalGRUError, InputError, system_errors
from clinicalgru.explain.attribution.explain import explain
from clinicalgru.explain.risk_changes.movement import movement
from clinicalgru.html import Markup, tag
from clinicalgru.output_unit import is_probability
from clinicalgru.serve.bundle import load_model, model_hash
from clinicalgru.serve.score import score
from clinicalgru.serve.score_input import read_like_training, score_input
from clinicalgru.view.pages.html_page import PLOTLY_PATH, page
from clinicalgru.view.pages.patient_page import patient_html
from clinicalgru.view.pages.worklist_page import worklist_html
from clinicalgru.view.text.format import format_number, format_percent

WARDS = ("ward", "unit", "care_unit", "icu_type")  # static covariates by which stays can be filtered
N_KEPT = 64  # pages of patients in memory
N_PERMUTATIONS = 4  # orders of arrival, where a page says what moved the risk
FINISHED = ".parquet"
DATE = re.compile(r" at \d{4}-\d\d-\d\d.*")  # of a stay: shown with identifiers only
SAME = 0.0005  # a difference of a scored and an explained number that rounding can make


class Worklist:
    """Scored stays of an extract, and the page of each.

    Parameters
    ----------
    bundle : Path
        Folder of a bundle.
    extract : object
        An extract, as of `score`.
    scores : Path or None
        A table or folder of scores; the newest run is shown next to the one before. None: the extract is scored once.
    threshold : float or None
        Risk from which a stay is marked; None: that of the model, if it has one.
    show_id : bool
        Whether identifiers and dates are shown.
    require_signature : Path or None
        PEM file of the public key of who must have signed the bundle.
    **reading
        Arguments of `read_events` that differ from those of training.

    Attributes
    ----------
    rows : list of dict
        What the browser receives of each stay.
    run : dict of str to str or int
        When the stays were scored, as of which moment, as of which moment before that, and how many scored stays the
        extract lacks.
    model_hash : str
        Hash of the model.
    """

    def __init__(
        self,
        bundle: Path,
        extract: Any,
        *,
        scores: Path | None = None,
        threshold: float | None = None,
        show_id: bool = False,
        require_signature: Path | None = None,
        **reading: Any,
    ) -> None:
        self.model = load_model(bundle, require_signature=require_signature)
        if self.model.evaluated_as == "forecast":
            fix = "Use clinicalgru explain, whose page shows the forecast of a stay."
            raise InputError("a model with one risk or number of each stay", "a forecast", fix, where="--bundle")
        events = read_like_training(self.model, extract, **reading)
        self.given = score_input(self.model, events)
        self.scores_path, self.show_id = scores, show_id
        self.threshold = getattr(self.model, "threshold_", None) if threshold is None else threshold
        self.simulated = bool(self.given.stays.simulated)
        self.model_hash = model_hash(self.model)
        digests = (hashlib.sha256(f"{self.model_hash}/{stay}".encode()) for stay in self.given.stays.stay)
        self.keys = {digest.hexdigest()[:16]: number for number, digest in enumerate(digests)}
        self._pages, self._lock = OrderedDict[tuple[str, bool], str](), threading.Lock()
        self._read_at: tuple[float, int] | None = None
        self._own = score(self.model, events) if scores is None else None
        self.refresh()

    @property
    def _is_risk(self) -> bool:
        """Whether what is shown is a risk, and not a number in the unit of the outcome."""
        return is_probability(self.model.head_.explanation_target())

    @property
    def _provenance(self) -> dict[str, str]:
        task, target = self.model.task_, self.model.head_.explanation_target().name
        about = {"outcome": task.title or task.name, "model_hash": self.model_hash}
        about |= {"predicted": target} if target else {}
        return about | {"simulated": "yes" if self.simulated else "no"}

    def refresh(self) -> None:
        """Read the scores again, if their files changed."""
        stamp = _stamp(self.scores_path) if self.scores_path is not None else (0.0, 0)
        if stamp == self._read_at:
            return
        table = self._own if self.scores_path is None else _read_scores(self.scores_path)
        assert table is not None
        with self._lock:
            self.rows, self.run = self._rows(table)
            self._pages.clear()  # a page says what the worklist shows
        self._read_at = stamp

    def _rows(self, table: pd.DataFrame) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What is shown of each stay, the newest run next to the one before; and what is known of the runs."""
        column = self._risk_column(table)
        moments = np.sort(table["as_of"].dropna().unique())
        newest = table[table["as_of"] == moments[-1]] if len(moments) else table
        before = table[table["as_of"] == moments[-2]] if len(moments) > 1 else table.iloc[:0]
        earlier = before.drop_duplicates("stay_id", keep="last").set_index("stay_id")[column]
        last = newest.sort_values("prediction_hours", kind="stable").drop_duplicates("stay_id", keep="last")
        number = {stay: position for position, stay in enumerate(self.given.stays.stay)}
        known = last["stay_id"].isin(number)
        last, n_missing = last[known], int((~known).sum())
        wards, key = self._wards(), {number: key for key, number in self.keys.items()}
        rows = []
        for stay, risk, status, reason, hours in zip(
            last["stay_id"], last[column], last["status"], last["reason"], last["prediction_hours"], strict=True
        ):
            position = number[stay]
            previous = earlier.get(stay, np.nan)
            rows.append(
                {
                    "key": key[position],
                    "name": str(stay) if self.show_id else f"Stay {position + 1}",
                    "ward": wards[position],
                    "risk": _or_none(risk),
                    "change": _or_none(risk - previous),
                    "status": str(status),
                    "reason": ""
                    if pd.isna(reason)
                    else str(reason)
                    if self.show_id
                    else DATE.sub(" later", str(reason)),
                    "hours": _or_none(hours),
                }
            )
        scored = pd.to_datetime(last["scored_at"]).max()
        as_of = [f"{pd.Timestamp(moment):%Y-%m-%d %H:%M}" for moment in moments[:-3:-1]]
        run = {"scored_at": "" if pd.isna(scored) else f"{scored:%Y-%m-%d %H:%M} UTC", "not_in_extract": n_missing}
        return rows, run | dict(zip(("as_of", "before"), [*as_of, "", ""], strict=False))

    def _risk_column(self, table: pd.DataFrame) -> str:
        columns = self.model.score_columns_
        default = columns[min(getattr(self.model.head_, "default_output", 0), len(columns) - 1)]
        missing = [name for name in (default, "stay_id", "status", "as_of", "prediction_hours") if name not in table]
        if missing:
            fix = "Pass what clinicalgru score wrote for this bundle."
            raise InputError("scores of this bundle", f"no column {missing[0]}", fix, where="--scores")
        return default

    def _wards(self) -> list[str]:
        """The care unit of each stay, or an empty text."""
        stays = self.given.stays
        for column, variable in enumerate(stays.static_variables):
            if variable.name in WARDS and variable.categories:
                labels = list(variable.categories.values())
                return ["" if np.isnan(code) else labels[int(code)] for code in stays.static[:, column]]
        return [""] * len(stays)

    def html(self) -> str:
        """Build the worklist.

        Returns
        -------
        str
            A page.
        """
        html = worklist_html(
            self.rows,
            run=self.run,
            threshold=self.threshold if self._is_risk else None,
            is_risk=self._is_risk,
            provenance=self._provenance,
        )
        return str(html)

    def data(self) -> Mapping[str, Any]:
        """Give what the worklist reads again.

        Returns
        -------
        dict
            rows and run.
        """
        self.refresh()
        return {"rows": self.rows, "run": self.run}

    def patient(self, key: str, *, moved: bool = False) -> str | None:
        """Build the page of one stay.

        Parameters
        ----------
        key : str
            Key of a row.
        moved : bool
            Whether the page also says what moved the risk when it changed most, which takes longer.

        Returns
        -------
        str or None
            A page; None where there is no such stay.
        """
        if key not in self.keys:
            return None
        with self._lock:  # one explanation at a time: torch's settings are global
            if (key, moved) not in self._pages:
                self._pages[key, moved] = self._patient(self.keys[key], key, moved)
                if len(self._pages) > N_KEPT:
                    self._pages.popitem(last=False)
            return self._pages[key, moved]

    def _patient(self, number: int, key: str, moved: bool) -> str:
        stay = self.given.stays[[number]]
        name = str(stay.stay[0]) if self.show_id else f"Stay {number + 1}"
        links = [tag("a", "← Worklist", attrs={"href": f"/#back={key}", "target": "_top"})]
        row = next((row for row in self.rows if row["key"] == key), None)
        if row is None or row["risk"] is None:
            reason = "the scores do not hold it" if row is None else row["reason"] or row["status"]
            return str(self._without_risk(name, f"This stay has no prediction: {reason}.", links))
        try:
            explanation = explain(self.model, stay, show_id=self.show_id)
            changes = movement(self.model, stay, n_permutations=N_PERMUTATIONS) if moved else None
        except ClinicalGRUError as error:
            return str(self._without_risk(name, f"This stay cannot be explained. {error}", links))
        if not moved:
            text = f"What moved the {'risk' if self._is_risk else 'prediction'} when it changed most?"
            links.append(tag("a", text, attrs={"href": f"/stay/{key}?moved=1"}))
        threshold = self.threshold if is_probability(explanation) else None
        html = patient_html(
            explanation,
            title=name,
            movement=changes,
            threshold=threshold,
            note=self._differs(row["risk"], explanation.risk),
            navigation=Markup(" ").join(links),
            plotly_path=PLOTLY_PATH,
        )
        return str(html)

    def _without_risk(self, title: str, text: str, links: list[Markup]) -> Markup:
        return page(
            title, text, provenance=self._provenance, navigation=Markup(" ").join(links), plotly_path=PLOTLY_PATH
        )

    def _differs(self, scored: float, explained: float) -> str:
        """Report that the extract gives another number than the scores, as when measurements arrived in between."""
        if abs(scored - explained) < SAME:
            return ""
        number = format_percent(scored) if self._is_risk else format_number(scored)
        return (
            f"The worklist shows {number}, from data until {self.run['as_of']}; this page is made of the whole extract."
        )


def _or_none(value: Any) -> float | None:
    return None if pd.isna(value) else round(float(value), 5)


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob(f"*{FINISHED}")) if path.is_dir() else [path]


def _stamp(path: Path) -> tuple[float, int]:
    with system_errors("--scores"):
        times = [file.stat().st_mtime for file in _files(path)]
    return max(times, default=0.0), len(times)


def _read_scores(path: Path) -> pd.DataFrame:
    """Read a file of scores, or all finished parts of a folder."""
    files = _files(path)
    if not files:
        raise InputError("a table of scores", "a folder without any", "Run clinicalgru score.", where="--scores")
    with system_errors("--scores"):
        parts = [
            pd.read_csv(file, dtype={"stay_id": str, "patient_id": str}, parse_dates=["as_of"])
            if file.suffix == ".csv"
            else pd.read_parquet(file)
            for file in files
        ]
    return pd.concat(parts, ignore_index=True)
