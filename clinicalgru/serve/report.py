"""A report of a model in the shape of TRIPOD+AI, with figures that are computed again and an audit trail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clinicalgru.checks import check_instance
from clinicalgru.disclosure import MIN_CELL_SIZE, suppress_nested
from clinicalgru.errors import InputError, system_errors
from clinicalgru.markdown import escape_markdown, markdown_table
from clinicalgru.serve.bundle import load_model, model_hash
from clinicalgru.serve.card import card
from clinicalgru.serve.integrity import CARD, MANIFEST, WEIGHTS
from clinicalgru.serve.predictions_file import TOLERANCE, read_predictions, recomputed
from clinicalgru.serve.tripod import tripod_items

RUN_FIELDS = ("run_id", "model_hash", "input_hash", "as_of", "statuses")


@dataclass(frozen=True, eq=False)
class Report:
    """A report of a model.

    Attributes
    ----------
    title : str
        What the model predicts.
    items : DataFrame
        item, section, topic, text, evidence, filled; the 27 items of TRIPOD+AI.
    numbers : DataFrame
        figure, stored, recomputed, difference; empty without stored predictions.
    model_card : str
        The model card, in Markdown.
    audit : DataFrame
        what, value: hashes of all that was read, seed, versions, changes.
    runs : DataFrame
        time, run_id, model_hash, input_hash, as_of, statuses of scoring runs.
    min_cell_size : int
        Smallest count that may be shown; 0 where the patients are synthetic.
    """

    title: str
    items: pd.DataFrame
    numbers: pd.DataFrame
    model_card: str
    audit: pd.DataFrame
    runs: pd.DataFrame
    min_cell_size: int = MIN_CELL_SIZE

    @property
    def exit_code(self) -> int:
        """0, or 6 where a figure does not compute again within 1e-9."""
        return 6 if len(self.numbers) and not (self.numbers["difference"] <= TOLERANCE).all() else 0

    @property
    def shown_numbers(self) -> pd.DataFrame:
        """The figures that may be shown: without small counts, and without those from which counts can be read."""
        counts = ("stays", "patients", "events")
        values = [self.numbers.set_index("figure")["stored"].get(name) for name in counts]
        known = suppress_nested([int(value or 0) for value in values], min_cell_size=self.min_cell_size)
        hidden = [name for name, count in zip(counts, known, strict=True) if count is None]
        of_points = self.numbers["figure"].astype(str).str.startswith("operating_points") & (self.min_cell_size > 0)
        return self.numbers[~self.numbers["figure"].isin(hidden) & ~of_points]

    @property
    def check(self) -> str:
        """How many figures compute again."""
        if self.numbers.empty:
            return "No stored predictions were given: no figure was computed again."
        right = int((self.numbers["difference"] <= TOLERANCE).sum())
        return f"{right} of {len(self.numbers)} figures compute again from the stored predictions within 1e-9."

    def __str__(self) -> str:
        filled = self.items["filled"].value_counts().to_dict()
        counts = ", ".join(f"{filled.get(name, 0)} {label}" for name, label in LABELS.items())
        return f"{self.title}\nTRIPOD+AI: {counts}.\n{self.check}\n{len(self.runs)} scoring runs."

    __repr__ = __str__

    def to_markdown(self) -> str:
        """Return the report in Markdown.

        Returns
        -------
        str
            Items, figures, model card, audit trail.
        """
        parts = [f"# {escape_markdown(self.title)}", f"## TRIPOD+AI\n\n{_table(self.items)}"]
        parts.append(
            f"## Numbers\n\n{escape_markdown(self.check)}"
            + (f"\n\n{_table(self.shown_numbers)}" if len(self.numbers) else "")
        )
        parts.append("## Model card\n\n" + self.model_card.replace("\n## ", "\n### ").replace("# ", "### ", 1))
        parts.append(f"## Audit trail\n\n{_table(self.audit)}")
        parts += [f"### Scoring runs\n\n{_table(self.runs)}"] if len(self.runs) else []
        return "\n\n".join(parts) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it.

        Returns
        -------
        dict
            Tables as lists of rows.
        """
        tables = {name: getattr(self, name) for name in ("items", "numbers", "audit", "runs")}
        tables["numbers"] = self.shown_numbers
        rows = {name: t.astype(object).where(t.notna(), None).to_dict("records") for name, t in tables.items()}
        return {"title": self.title, "check": self.check, "model_card": self.model_card} | rows

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one offline HTML page.

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


LABELS = {"yes": "items filled", "in part": "filled in part", "no": "for the author to write"}


def report(
    bundle: str | Path,
    *,
    predictions: str | Path | None = None,
    logs: Sequence[str | Path] = (),
    require_signature: str | Path | None = None,
) -> Report:
    """Write up a bundle: the items of TRIPOD+AI, figures computed again, its model card and an audit trail.

    Parameters
    ----------
    bundle : str or Path
        Folder of a bundle.
    predictions : str or Path, optional
        Stored predictions of its evaluation, the predictions.parquet that `train` writes.
    logs : sequence of str or Path
        Logs of scoring runs (`score --log`), whose runs are listed.
    require_signature : str, Path or None
        PEM file of the Ed25519 public key of who must have signed the bundle, see `sign`.

    Returns
    -------
    Report
        Print it, or use its methods `to_html`, `to_markdown` and `to_dict`.

    Raises
    ------
    InputError
        If a file cannot be read.
    BundleError
        If the bundle is damaged.

    References
    ----------
    Collins et al. 2024, BMJ 385:e078378, TRIPOD+AI statement. Mitchell et al. 2019, "Model cards for model reporting".

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(60)), cg.Task.load("in_hospital_mortality"))
    >>> folder = cg.save(cg.SummaryBaseline("logistic regression").fit(stays), f"{mkdtemp()}/bundle")
    >>> print(str(cg.report(folder)).splitlines()[2])
    No stored predictions were given: no figure was computed again.
    """
    check_instance("bundle", bundle, str, Path)
    model, figures, numbers = (
        load_model(bundle, require_signature=require_signature),
        None,
        pd.DataFrame(columns=["figure", "stored", "recomputed", "difference"]),
    )
    read = [Path(bundle) / name for name in (MANIFEST, WEIGHTS, CARD)]
    entries = [("model", model_hash(model)), ("trained on", str(model.trained_on_["source"]))]
    if predictions is not None:
        read.append(Path(predictions))
        figures, numbers = read_predictions(predictions)[1], recomputed(predictions)
        entries.append(("random_state of the resamples", str(figures["random_state"])))
    manifest = json.loads((Path(bundle) / MANIFEST).read_text(encoding="utf-8"))
    entries += [(f"version of {name}", version) for name, version in manifest["versions"].items()]
    entries += [
        (f"change at {change['when']}", f"{change['what']}, from {change['parent']}")
        for change in manifest.get("changes", [])
    ]
    entries += [(f"sha256 of {path.name}", _sha256(path)) for path in [*read, *map(Path, logs)]]
    runs = pd.DataFrame([run for path in logs for run in _runs(Path(path))], columns=["time", *RUN_FIELDS])
    least = 0 if (figures or {}).get("simulated") else MIN_CELL_SIZE
    return Report(
        title=model.task_.title or model.task_.name,
        items=tripod_items(model, figures, min_cell_size=least),
        numbers=numbers,
        model_card=card(model),
        audit=pd.DataFrame(entries, columns=["what", "value"]),
        runs=runs,
        min_cell_size=least,
    )


def _sha256(path: Path) -> str:
    with system_errors(path.name), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _runs(path: Path) -> list[dict[str, Any]]:
    """Scoring runs of a log of JSON lines."""
    with system_errors(path.name):
        lines = path.read_text(encoding="utf-8").splitlines()
    runs = []
    for number, line in enumerate(lines, 1):
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            fix = "Pass the file that `score --log` wrote."
            raise InputError("JSON in each line", "other text", fix, where=f"{path.name}, line {number}") from None
        if isinstance(content, dict) and "run_id" in content:
            statuses = ", ".join(
                f"{n} {'suppressed' if c is None else c}" for n, c in content.get("statuses", {}).items()
            )
            runs.append(content | {"statuses": statuses})
    return runs


def _table(table: pd.DataFrame) -> str:
    return markdown_table([*table.columns], table.astype(object).where(table.notna(), "-").to_numpy().tolist())
