"""How good a model is, said in words and shown in figures, whoever wins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_flow, suppress_ledger, suppress_nested
from clinicalgru.evaluate.metrics import METRICS
from clinicalgru.evaluate.small_cells import coarse
from clinicalgru.evaluate.table import differences_table, heading, metrics_table, note
from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.evaluation_plots import plot_calibration, plot_differences, plot_precision_recall, plot_roc
from clinicalgru.view.text.format import capitalize_first, format_fixed, format_interval, iter_rows

if TYPE_CHECKING:
    from clinicalgru.data.ledger import Ledger
    from clinicalgru.evaluate.evaluation import Evaluation
    from clinicalgru.explain.faithfulness.result import Faithfulness

TILES = ("auroc", "auprc", "brier", "calibration_slope")
NOTHING: Mapping[str, str] = MappingProxyType({})
RANKING = "Events found against false alarms, over all thresholds. Up and to the left is better."
ALARMS = "Of the alarms, how many are true, for each share of events found. Up and to the right is better."
CALIBRATED = (
    "On the diagonal, a predicted 30 % comes true in 30 of 100. Each mark is a group of stays, with a 95 % interval."
)
APART = "The model minus its baseline on the same patients. Filled: the 95 % interval leaves out 0; open: no clear difference."
READING = (
    "Calibration slope below 1: the risks are too extreme; above 1: too timid. Calibration in the large below 0, or "
    "observed : expected below 1: the risks are too high."
)
FEW = "Withheld: so few stays with, or without, the event that a curve would show single patients."
JOINED = (
    "Points and groups that lie fewer than {least} stays apart are joined, so that nobody can be read off; the "
    "metrics rest on all stays."
)
FAITHFUL = (
    "Measurements taken away in the order of each method: ↑ higher is better, ↓ lower is better. Deletion (with its "
    "95 % interval) and insertion are in log-odds, the next two in risk"
)
TRUE = (
    "Deleting what an explanation names should move the risk farther than deleting as much at random. Beats random, "
    "attention: the share of stays on which it does. A network with random weights should be explained otherwise: its "
    "rank correlation should be near 0. True to the model is not true to the patient."
)
LIMITS = (
    "The figures hold for the data named above. Another hospital, year or way of charting can change them.",
    "Intervals come from drawing patients again; the chance of training again, and other sites, are not in them.",
    "No clear difference is not the same as equal: the interval says how large a difference could be.",
)


def evaluation_page(
    evaluation: Evaluation,
    path: str | os.PathLike[str],
    *,
    ledger: Ledger | None = None,
    flow: Sequence[tuple[str, int]] = (),
    faithfulness: Faithfulness | None = None,
    provenance: Mapping[str, str] = NOTHING,
    title: str = "Evaluation",
    min_cell_size: int = MIN_CELL_SIZE,
) -> Path:
    """One offline HTML page of an evaluation: words first, then curves, tables, data and limits.

    evaluation  an `Evaluation`
    path        the file to write; its folders are made
    ledger      what became of each row of the extract
    flow        steps of the cohort: (step, stays left)
    faithfulness  what `faithfulness(model, test)` returned, of the stays of this evaluation or some of them (with
                measurements: test[test.n_measurements > 0]; a few hundred are enough)
    provenance  facts by name: data, task, model hash, versions, seed, date; "simulated": "yes" puts a banner on top
    title       the heading
    min_cell_size  counts of 1 to below this are withheld or joined, in words, tables and curves, and whatever would
                give them away; 0 shows all. Simulated patients are nobody's: of them all is shown
    returns     the path
    refused     a path that is a folder (ArgumentError)

    >>> from tempfile import mkdtemp
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> judged = evaluate([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], n_resamples=50)
    >>> evaluation_page(judged, Path(mkdtemp()) / "report.html", provenance={"data": "six stays"}).name
    'report.html'
    """
    min_cell_size = 0 if provenance.get("simulated") == "yes" else min_cell_size
    beside = [count for count in suppress_nested([evaluation.stays], min_cell_size=min_cell_size) if count is not None]
    steps = suppress_flow(flow, within=beside, min_cell_size=min_cell_size)
    shown = [*beside, *(stays for _, stays in steps if stays is not None)]
    parts = [_short(evaluation), _curves(evaluation, min_cell_size), _metrics(evaluation), *_differences(evaluation)]
    parts += [*cohort_section(steps), *([] if ledger is None else [ledger_section(ledger, shown, min_cell_size)])]
    parts += [] if faithfulness is None else [_faithful(faithfulness, [*beside, *shown], min_cell_size)]
    lead = f"{evaluation.name} on {heading(evaluation, min_cell_size=min_cell_size)}"
    return write(page(title, lead, *parts, provenance=provenance, limits=LIMITS), path)


def _short(evaluation: Evaluation) -> Markup:
    own = evaluation.metrics.query("model == @evaluation.name and metric in @TILES")
    shown = [
        (METRICS[row.metric].label, format_fixed(row.estimate), f"95 %: {format_interval(row.low, row.high)}")
        for row in iter_rows(own)
    ]
    said = [tag("p", sentence, attrs={"class": "lead"}) for sentence in _sentences(evaluation)]
    return section("In short", tiles(shown), tag("div", *said, attrs={"class": "card"}))


def _sentences(evaluation: Evaluation) -> list[str]:
    ranking = {row.model: row for row in iter_rows(evaluation.metrics.query("metric == 'auroc'"))}
    own = ranking[evaluation.name]
    said = [
        f"{evaluation.name} ranks a stay with the event above one without it {100 * own.estimate:.0f} times in 100 "
        f"(AUROC {format_fixed(own.estimate)}, 95 % interval {format_interval(own.low, own.high)})."
    ]
    for row in iter_rows(evaluation.differences.query("metric == 'auroc'")):
        baseline = ranking[row.baseline]
        apart = f"{format_fixed(row.estimate, signed=True)} ({format_interval(row.low, row.high, signed=True)})"
        said.append(
            f"{row.baseline}: AUROC {format_fixed(baseline.estimate)} ({format_interval(baseline.low, baseline.high)}); "
            f"difference {apart}: {row.verdict}."
        )
    return said


def _curves(evaluation: Evaluation, min_cell_size: int) -> Markup:
    joined = {
        model: coarse(own, stays=evaluation.stays, events=evaluation.events, min_cell_size=min_cell_size)
        for model, own in evaluation.curves.items()
    }
    apart = {model: own for model, own in joined.items() if own is not None}
    if len(apart) < len(joined):
        return section("Curves", tag("p", FEW))
    if min_cell_size > 1:
        evaluation = replace(evaluation, curves=apart)
    said = [tag("p", JOINED.format(least=min_cell_size), attrs={"class": "quiet"})] if min_cell_size > 1 else []
    shown = [
        figure(plot_roc(evaluation), "Ranking (ROC)", RANKING),
        figure(plot_precision_recall(evaluation), "Precision and recall", ALARMS),
        figure(plot_calibration(evaluation), "Calibration", CALIBRATED),
    ]
    if not evaluation.differences.empty:
        shown.append(figure(plot_differences(evaluation), "Differences from the baselines", APART))
    return section("Curves", *said, tag("div", *shown, attrs={"class": "grid"}))


def _metrics(evaluation: Evaluation) -> Markup:
    wide = metrics_table(evaluation)
    rows = [[str(metric), *cells] for metric, cells in zip(wide.index, wide.to_numpy().tolist(), strict=True)]
    shown = table(note(evaluation), ["Metric", *map(str, wide.columns)], rows)
    return section("All metrics", shown, tag("p", READING, attrs={"class": "quiet"}))


def _differences(evaluation: Evaluation) -> list[Markup]:
    if evaluation.differences.empty:
        return []
    shown = differences_table(evaluation)[["verdict", "difference"]]
    rows = [[str(pair), *cells] for pair, cells in zip(shown.index, shown.to_numpy().tolist(), strict=True)]
    caption = "On the same resamples of patients; a model is better where the interval leaves out 0"
    return [
        section(
            "Paired differences", table(caption, ["Models, metric", "Verdict", "Difference"], rows, n_text_columns=2)
        )
    ]


def _faithful(found: Faithfulness, shown: Sequence[int], min_cell_size: int) -> Markup:
    """The table of taking measurements away; its counts are shown where they stay apart from those shown before."""
    counts = [count for count in (found.n_stays, found.n_patients) if count is not None]
    kept = suppress_nested([*shown, *counts], min_cell_size=min_cell_size)[len(shown) :]
    stays, patients = kept if len(kept) == 2 else (None, None)
    facts = replace(found, n_stays=stays, n_patients=patients).summary()
    listed = tag("ul", *(tag("li", f"{capitalize_first(name)}: {fact}") for name, fact in facts.items()))
    taken = table(FAITHFUL, found.column_names(), found.table_rows(min_cell_size=min_cell_size))
    return section("Are the explanations true to the model?", taken, listed, tag("p", TRUE, attrs={"class": "quiet"}))


def cohort_section(flow: Sequence[tuple[str, int | None]]) -> list[Markup]:
    """The steps; how many one left out is said where both counts are."""
    if not flow:
        return []
    items: list[Markup] = []
    before = flow[0][1]
    for step, left in flow:
        if before is not None and left is not None and left != before:
            items.append(tag("li", f"↓ {before - left:,} left out", attrs={"class": "out"}))
        items.append(tag("li", tag("span", step), tag("b", f"{format_count(left)} stays")))
        before = left
    return [section("Cohort", tag("ol", *items, attrs={"class": "flow"}))]


def ledger_section(ledger: Ledger, shown: Sequence[int], min_cell_size: int) -> Markup:
    entries = {str(what): int(count) for what, count in ledger.to_frame().itertuples(index=False)}
    counts = suppress_ledger(entries, shown=shown, min_cell_size=min_cell_size)
    rows = [[what, format_count(count)] for what, count in counts.items()]
    caption = "What became of each row of the extract: rows in = used + descriptors + merged + rejected"
    return section("Intake ledger", table(caption, ["What", "Rows"], rows))
