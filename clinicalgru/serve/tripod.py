"""The 27 items of TRIPOD+AI, filled from a model and its evaluation as far as these say something."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_nested
from clinicalgru.evaluate.patient_overlap import overlap_sentences
from clinicalgru.model.baselines.base import BaselineEstimator
from clinicalgru.model.estimators.registry import FittedModel
from clinicalgru.model.estimators.training_summary import calibration_text, validation_text
from clinicalgru.serve.card import refits_text

AUTHOR = "author must write"
ITEMS = (
    (1, "Title", "Title"),
    (2, "Abstract", "Abstract"),
    (3, "Introduction", "Background"),
    (4, "Introduction", "Objectives"),
    (5, "Methods", "Data"),
    (6, "Methods", "Participants"),
    (7, "Methods", "Data preparation"),
    (8, "Methods", "Outcome"),
    (9, "Methods", "Predictors"),
    (10, "Methods", "Sample size"),
    (11, "Methods", "Missing data"),
    (12, "Methods", "Analytical methods"),
    (13, "Methods", "Class imbalance"),
    (14, "Methods", "Fairness"),
    (15, "Methods", "Model output"),
    (16, "Methods", "Training versus evaluation"),
    (17, "Methods", "Ethical approval"),
    (18, "Open science", "Funding, conflicts, protocol, registration, data and code"),
    (19, "Patient and public involvement", "Involvement"),
    (20, "Results", "Participants"),
    (21, "Results", "Model development"),
    (22, "Results", "Model specification"),
    (23, "Results", "Model performance"),
    (24, "Results", "Model updating"),
    (25, "Discussion", "Interpretation"),
    (26, "Discussion", "Limitations"),
    (27, "Discussion", "Usability in current care"),
)
TODO: Mapping[int, str] = {
    4: "for whom and for which decision",
    5: "dates, setting and how the data were collected",
    6: "why these eligibility criteria",
    8: "who assessed the outcome, and whether blinded",
    14: "which groups were of concern, and why",
    18: "funding, conflicts, protocol, registration; whether data and code are available",
    26: "limitations of this study",
    27: "how poor or missing inputs are handled at the bedside, and who uses the output",
}


def tripod_items(
    model: FittedModel, figures: Mapping[str, Any] | None, *, min_cell_size: int = MIN_CELL_SIZE
) -> pd.DataFrame:
    """Fill the items.

    Parameters
    ----------
    model : estimator
        A fitted model.
    figures : mapping or None
        Of its evaluation, as of `Evaluation.to_dict`; None where there is none.
    min_cell_size : int
        Smallest count that may be shown; 0 shows all.

    Returns
    -------
    DataFrame
        item, section, topic, text, evidence, filled (yes, in part, or no).

    References
    ----------
    Collins et al. 2024, BMJ 385:e078378, TRIPOD+AI statement.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> stays = cg.select(cg.read_events(cg.simulate(60)), cg.Task.load("in_hospital_mortality"))
    >>> table = tripod_items(cg.SummaryBaseline("logistic regression").fit(stays), None)
    >>> len(table), table.loc[2, "text"]
    (27, 'author must write')
    """
    known = _from_model(model) | ({} if figures is None else _from_figures(figures, min_cell_size))
    rows = []
    for number, section, topic in ITEMS:
        text, evidence = known.get(number, ("", ""))
        missing = TODO.get(number, "" if text else None)
        todo = "" if missing == "" else AUTHOR if not text else f" {AUTHOR.capitalize()}: {missing}."
        filled = "no" if not text else "in part" if todo else "yes"
        rows.append((number, section, topic, f"{text}{todo}", evidence, filled))
    return pd.DataFrame(rows, columns=["item", "section", "topic", "text", "evidence", "filled"])


def _from_model(model: FittedModel) -> dict[int, tuple[str, str]]:
    """What the manifest says."""
    task, trained = model.task_, model.trained_on_
    low, high = task.window_hours
    title, kind = task.title or task.name, type(model).__name__
    limits = trained.get("inputs", {}).get("limits", {})
    shares = [entry["share"] for entry in trained.get("inputs", {}).get("variables", {}).values()]
    n_rare = sum(share < 0.5 for share in shares)
    missing = f"most stays lack {n_rare} of the {len(shares)} variables" if shares else ""
    stays, patients = format_count(trained["stays"]), format_count(trained["patients"])
    events = "" if trained.get("outcomes") is None else f", {format_count(trained['outcomes'])} with the outcome"
    changes = [f"{c['what']} at {c['when']}, {calibration_text(c)}" for c in getattr(model, "changes_", [])]
    names = ", ".join(v.label for v in (*model.static_variables_, *model.variables_))
    chosen = validation_text(trained)
    baseline = isinstance(model, BaselineEstimator)
    imputed = "A baseline on summaries" if baseline else "Masks and times since the last value are inputs"
    least = limits.get("measurements")
    unit = "measurements per hour" if model.task_.every_step else "measurements"
    fewest = f"{least:g}" if model.task_.every_step or not least else f"{math.ceil(least)}"
    output = "A prediction for each stay" + (f" with {fewest} {unit} or more." if least else ".")
    known = {
        1: (f"Development of a prediction model ({kind}): {title}.", "manifest.json: task, model"),
        4: (f"To predict: {title}.", "manifest.json: task"),
        5: (
            f"Source: {trained['source']}{' (simulated)' if trained['simulated'] else ''}.",
            "manifest.json: trained_on",
        ),
        6: (f"Stays that the task {task.name} selects; {stays} stays of {patients} patients.", "manifest.json: task"),
        7: (
            "Units were converted and values outside plausible ranges rejected, each counted.",
            "manifest.json: variables",
        ),
        8: (f"{task.outcome_words}; predicted at hour {high:g} after the {task.anchor_words}.", "manifest.json: task"),
        9: (f"What became known from hour {low:g} to {high:g}: {names}.", "manifest.json: variables"),
        10: (
            f"Trained on {stays} stays{events}; `clinicalgru.sample_size` says what is needed.",
            "manifest.json: trained_on",
        ),
        11: (f"{imputed}; {missing}.", "model card"),
        12: (
            f"{kind}; calibrated {calibration_text(model.calibrated_on_)}. {_sentence(refits_text(model))}",
            "manifest.json: arguments, calibrator, instability",
        ),
        13: ("Predictions are probabilities; no stays were resampled.", "manifest.json: arguments"),
        15: (output, "manifest.json: trained_on, inputs, limits"),
        21: (f"{stays} stays{events}." + (f" Epochs chosen {chosen}." if chosen else ""), "manifest.json: history"),
        22: ("All weights, arguments and preprocessing are in the bundle.", "weights.safetensors, manifest.json"),
        24: ("; ".join(changes) + "." if changes else "None since training.", "manifest.json: changes"),
        26: ("Not validated outside its source unless the figures below are of another one.", "model card"),
        18: ("Code: clinicalgru, Apache-2.0.", "manifest.json: versions"),
    }
    return {number: (text.replace(" .", "."), evidence) for number, (text, evidence) in known.items()}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _from_figures(figures: Mapping[str, Any], min_cell_size: int) -> dict[int, tuple[str, str]]:
    """What the evaluation says."""
    own = {row["metric"]: row for row in figures["metrics"] if row["model"] == figures["name"]}

    def shown(metric: str) -> str:
        row = own[metric]
        interval = "no interval" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        return "unknown" if row["estimate"] is None else f"{row['estimate']:.3f} ({interval})"

    groups = [f"by {name}" for name in figures["subgroups"]]
    overlap = " ".join(overlap_sentences(figures.get("patient_overlap", {}), figures["stays"]))
    split = overlap or figures["notes"].get("Split", "no patient of the evaluation was used for training")
    counts = [figures[name] for name in ("stays", "patients", "events")]
    stays, patients, events = map(format_count, suppress_nested(counts, min_cell_size=min_cell_size))
    names = {
        "auroc": "AUROC",
        "observed_expected": "observed : expected",
        "calibration_slope": "slope",
        "brier": "Brier",
    }
    return {
        14: (f"Performance and calibration were compared {' and '.join(groups)}." if groups else "", "evaluation"),
        16: (_sentence(split), "evaluation: notes"),
        20: (f"Evaluated on {stays} stays of {patients} patients, {events} with the event.", "numbers"),
        23: ("; ".join(f"{label} {shown(metric)}" for metric, label in names.items()) + ".", "numbers"),
    }
