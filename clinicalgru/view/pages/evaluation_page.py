"""One offline HTML page of an evaluation, for every type of task."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from clinicalgru.disclosure import MIN_CELL_SIZE, format_count, suppress_flow, suppress_ledger, suppress_nested
from clinicalgru.evaluate.details_text import captioned_tables, shown_alarms
from clinicalgru.evaluate.evaluation_summary import summary_sentences
from clinicalgru.evaluate.evaluation_text import differences_table, heading, hours_table, metrics_table, note
from clinicalgru.evaluate.metric_descriptions import HEADLINES, describe_metric, metric_label
from clinicalgru.evaluate.small_cells import suppress_curves
from clinicalgru.evaluate.subgroups import ALL
from clinicalgru.html import Markup, minus_signs, table, tag
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.alarm_plots import draw_burden
from clinicalgru.view.plots.decision_plots import plot_calibration_curve, plot_subgroups
from clinicalgru.view.plots.evaluation_plots import (
    plot_by_hour,
    plot_calibration,
    plot_differences,
    plot_precision_recall,
    plot_roc,
)
from clinicalgru.view.text.format import capitalize_first, format_fixed, format_interval, format_percent, iter_rows

if TYPE_CHECKING:
    import pandas as pd

    from clinicalgru.data.ledger import Ledger
    from clinicalgru.evaluate.evaluation import Evaluation
    from clinicalgru.explain.faithfulness.result import Faithfulness

NO_PROVENANCE: Mapping[str, str] = MappingProxyType({})
ROC = "True positives against false positives at all thresholds. Up and to the left is better."
PRECISION_RECALL = "Fraction of alerts that are true, for each fraction of events found. Up and to the right is better."
CALIBRATION = (
    "On the dotted line, predictions equal what was observed. Each mark is a group of stays with similar predictions, "
    "with its 95 % interval."
)
FLEXIBLE = (
    "Observed risk at each predicted risk (restricted cubic spline, 95 % band). On the dotted line they are equal. The "
    "integrated calibration index is the mean distance from it: {ici}."
)
GROUPS = (
    "Observed : expected in each group, with its 95 % interval; 1 is best. The dotted line is the value of all stays."
)
DIFFERENCES = (
    "Model minus baseline on the same resamples of patients. Filled: the 95 % interval excludes 0. The "
    "verdicts in the table are corrected for the number of comparisons."
)
BY_HOUR = (
    "Each stay as it was known at that hour, with 95 % intervals from other resamples than those above, and fewer. "
    "Where observed : expected is outside 0.9 to 1.1, the risk over time should not be read as a probability."
)
NO_INTERVALS = "No interval: too few stays with, or without, the event. What rises or falls here may be chance."
BURDEN = (
    "Each mark of the line is a threshold: a lower one finds more events and gives more alarms. Up and to the left is "
    "better. The diamond is the threshold of the model."
)
NO_GROUPS = "Suppressed: with so few stays, or so few with the event, groups would show single patients."
SUPPRESSED_COUNT = (
    "Suppressed: a count of 1 to 10, or one that would reveal such a count. Who may see them writes the page with "
    "min_cell_size=0."
)
SUPPRESSED = "Suppressed: with so few stays with, or without, the event a curve would show single patients."
MERGED = (
    "Points and groups fewer than {least} stays apart are merged, so that no patient can be identified. The metrics "
    "use all stays."
)
PERTURBATION = (
    "Measurements removed in the order of each method: ↑ higher is better, ↓ lower is better. Deletion (with its "
    "95 % interval) and insertion are in log-odds, the next two in risk"
)
FAITHFULNESS = (
    "Deleting the measurements that an explanation names should change the risk more than deleting as many at random. "
    "Beats random, attention: the fraction of stays where it does. A network with random weights should be explained "
    "differently: its rank correlation should be near 0. Faithful to the model does not mean true of the patient."
)
LIMITS = (
    "The results hold for the data named above. They can differ in another hospital, in another year, or with other "
    "charting.",
    "Intervals come from resampling patients. They do not include the variation between trainings or between sites.",
    "No clear difference is not the same as equal: the interval says how large a difference could be.",
)


def evaluation_page(
    evaluation: Evaluation,
    path: str | os.PathLike[str],
    *,
    ledger: Ledger | None = None,
    flow: Sequence[tuple[str, int]] = (),
    faithfulness: Faithfulness | None = None,
    provenance: Mapping[str, str] = NO_PROVENANCE,
    title: str = "Evaluation",
    min_cell_size: int = MIN_CELL_SIZE,
) -> Path:
    """Write one offline HTML page of an evaluation: summary, curves, tables, data and limits.

    Parameters
    ----------
    evaluation : Evaluation
        Of any type of task.
    path : str or Path
        File to write; its folder is created.
    ledger : Ledger, optional
        What became of each row of the extract.
    flow : sequence of (str, int)
        Steps of the cohort: name, stays left.
    faithfulness : Faithfulness, optional
        Result of ``faithfulness(model, stays)`` for these stays or some of them; a few hundred are enough.
    provenance : mapping of str to str
        Data, task, model hash, versions, seed, date; ``"simulated": "yes"`` puts a banner on top.
    title : str
        Heading of the page.
    min_cell_size : int
        Counts of 1 to below this are suppressed or merged in text, tables and curves, with what would reveal them. 0
        shows all; synthetic patients are always shown.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If the path is a folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from clinicalgru.evaluate.evaluation import evaluate
    >>> evaluation = evaluate([0, 0, 1, 0, 1, 1], [0.1, 0.4, 0.35, 0.2, 0.8, 0.9], n_resamples=50)
    >>> evaluation_page(evaluation, Path(mkdtemp()) / "report.html", provenance={"data": "six stays"}).name
    'report.html'
    """
    provenance = {**evaluation.provenance, **provenance} | ({"simulated": "yes"} if evaluation.simulated else {})
    min_cell_size = 0 if provenance.get("simulated") == "yes" else min_cell_size
    known = [count for count in suppress_nested([evaluation.stays], min_cell_size=min_cell_size) if count is not None]
    steps = suppress_flow(flow, within=known, min_cell_size=min_cell_size)
    shown = [*known, *(stays for _, stays in steps if stays is not None)]
    parts = evaluation_sections(evaluation, min_cell_size=min_cell_size)
    parts += [*cohort_section(steps), *([] if ledger is None else [ledger_section(ledger, shown, min_cell_size)])]
    parts += [] if faithfulness is None else [_faithfulness(faithfulness, [*known, *shown], min_cell_size)]
    parts += [metric_meanings(evaluation)]
    lead = f"{evaluation.name} on {heading(evaluation, min_cell_size=min_cell_size)}"
    lead = f"{provenance['task']}. {lead}" if "task" in provenance else lead
    return write(page(title, lead, *parts, provenance=provenance, limits=LIMITS), path)


def evaluation_sections(
    evaluation: Evaluation, *, min_cell_size: int = MIN_CELL_SIZE, without: str = ""
) -> list[Markup]:
    """Return the sections of a page that show an evaluation: summary, curves, thresholds, groups, hours, metrics.

    Parameters
    ----------
    evaluation : Evaluation
        Of any type of task.
    min_cell_size : int
        Smallest count that may be shown.
    without : str
        Text shown before: its sentences are left out of the summary.

    Returns
    -------
    list of Markup
        Sections in order.
    """
    parts = [_summary(evaluation, min_cell_size, without), *_figures(evaluation, min_cell_size)]
    parts += [*_details(evaluation, min_cell_size), *_by_hour(evaluation), _metrics(evaluation)]
    return [*parts, *_differences(evaluation)]


def _summary(evaluation: Evaluation, min_cell_size: int, without: str) -> Markup:
    """The headline metrics, the primary one in sentences, and what the risks mean here."""
    own = evaluation.metrics.query("model == @evaluation.name").set_index("metric", drop=False)
    rows = own.loc[[metric for metric in HEADLINES[evaluation.task_type] if metric in own.index]]
    shown = [
        (
            metric_label(row.metric, direction=False),
            format_fixed(row.estimate),
            f"95 %: {format_interval(row.low, row.high)}",
        )
        for row in iter_rows(rows)
    ]
    primary = own.loc[[evaluation.primary]].iloc[0] if evaluation.primary in own.index else rows.iloc[0]
    texts = [
        *_sentences(evaluation, primary),
        *summary_sentences(evaluation, min_cell_size=min_cell_size, without=without),
    ]
    sentences = [tag("p", minus_signs(text), attrs={"class": "lead"}) for text in texts]
    least = evaluation.least_stays(min_cell_size)
    events = suppress_nested([evaluation.stays, evaluation.events or 0], min_cell_size=least)[1]
    if evaluation.task_type == "binary" and events is not None:
        rate, here = evaluation.training_rate, f"{100 * events / evaluation.stays:.1f} %"
        shown.append(("Event rate here", here, "" if rate is None else f"in training {100 * rate:.1f} %"))
    notes = [tag("p", f"{name}: {text}.") for name, text in evaluation.notes.items()]
    return section("In short", tiles(shown), tag("div", *sentences, *notes, attrs={"class": "card"}))


def _sentences(evaluation: Evaluation, primary: pd.Series) -> list[str]:
    """The primary metric of the model, and of each baseline with the paired difference."""
    metric, label = primary["metric"], metric_label(primary["metric"], direction=False)
    description, metrics, differences = describe_metric(metric)[0], evaluation.metrics, evaluation.differences
    values = {row.model: row for row in iter_rows(metrics[metrics["metric"] == metric])}
    has_interval = primary["low"] == primary["low"]
    between = f"95 % interval {format_interval(primary['low'], primary['high'])}" if has_interval else "no interval"
    sentences = [
        f"{evaluation.name}: {label} {format_fixed(primary['estimate'])} ({between}); {description.direction_text}."
    ]
    for row in iter_rows(differences[differences["metric"] == metric]):
        baseline = values[row.baseline]
        difference = f"{format_fixed(row.estimate, signed=True)} ({format_interval(row.low, row.high, signed=True)})"
        sentences.append(
            f"{capitalize_first(row.baseline)}: {label} {format_fixed(baseline.estimate)} "
            f"({format_interval(baseline.low, baseline.high)}); difference {difference}: {row.verdict}."
        )
    return sentences


def _figures(evaluation: Evaluation, min_cell_size: int) -> list[Markup]:
    """Curves of a binary task, calibration of the others."""
    if not evaluation.curves:
        alarms = shown_alarms(evaluation, min_cell_size=min_cell_size)
        if len(alarms) > 1:
            drawn = draw_burden(alarms, float(evaluation.alarms["threshold"].iloc[0]))
            return [section("Alarms", figure(drawn, "Events with an alarm, and how many alarms", BURDEN))]
        if not evaluation.calibration:
            return [section("Calibration", tag("p", NO_GROUPS))] if evaluation.task_type != "forecast" else []
        return [section("Calibration", figure(plot_calibration(evaluation), "Predicted and observed", CALIBRATION))]
    counts = {"stays": evaluation.stays, "events": evaluation.events or 0}
    curves = {
        model: suppress_curves(of_model, **counts, min_cell_size=evaluation.least_stays(min_cell_size))
        for model, of_model in evaluation.curves.items()
    }
    shown = {model: of_model for model, of_model in curves.items() if of_model is not None}
    if len(shown) < len(curves):
        return [section("Curves", tag("p", SUPPRESSED))]
    merged = [tag("p", MERGED.format(least=min_cell_size), attrs={"class": "quiet"})] if min_cell_size > 1 else []
    evaluation = replace(evaluation, curves=shown) if min_cell_size > 1 else evaluation
    figures = [
        figure(plot_roc(evaluation), "Ranking (ROC)", ROC),
        figure(plot_precision_recall(evaluation), "Precision and recall", PRECISION_RECALL),
        figure(plot_calibration(evaluation), "Calibration", CALIBRATION),
    ]
    if (curve := evaluation.calibration_curve) is not None:
        caption = FLEXIBLE.format(ici=format_fixed(curve.ici))
        figures.append(figure(plot_calibration_curve(evaluation), "Flexible calibration curve", caption))
    if not evaluation.differences.empty:
        figures.append(figure(plot_differences(evaluation), "Differences from the baselines", DIFFERENCES))
    return [section("Curves", *merged, tag("div", *figures, attrs={"class": "grid"}))]


def _metrics(evaluation: Evaluation) -> Markup:
    """All metrics of all models."""
    wide = metrics_table(evaluation)
    rows = [[str(metric), *cells] for metric, cells in zip(wide.index, wide.to_numpy().tolist(), strict=True)]
    return section("All metrics", table(note(evaluation), ["Metric", *map(str, wide.columns)], rows))


def _details(evaluation: Evaluation, min_cell_size: int) -> list[Markup]:
    """Operating points or alarms, and groups."""
    tables = [
        table(
            caption,
            ["", *map(str, shown.columns)],
            [[_point_text(str(name)), *row] for name, *row in shown.itertuples()],
        )
        for caption, shown in captioned_tables(evaluation, min_cell_size=min_cell_size).items()
    ]
    forests = [
        figure(plot_subgroups(groups, metric="observed_expected"), f"Calibration by {name}", GROUPS)
        for name, groups in evaluation.subgroups.items()
        if groups.table.loc[groups.table["group"] != ALL, "low"].notna().any()
    ]
    drawn = [tag("div", *forests, attrs={"class": "grid"})] if forests else []
    return [section("At a threshold, and in groups", *tables, *drawn)] if tables else []


def _point_text(name: str) -> str:
    """Write the threshold of an operating point in percent, and a wanted performance with its sign."""
    return re.sub(
        r"^risk >= ([0-9.e-]+)$", lambda found: f"from {format_percent(float(found[1]))}".replace(" ", "\u00a0"), name
    ).replace(">=", "≥")


def _by_hour(evaluation: Evaluation) -> list[Markup]:
    """Performance at several hours, where it was evaluated."""
    if evaluation.by_hour.empty:
        return []
    wide = hours_table(evaluation)
    rows = [[str(hour), *cells] for hour, cells in zip(wide.index, wide.to_numpy().tolist(), strict=True)]
    known = evaluation.by_hour[["low", "high"]].notna().to_numpy().any()
    shown = figure(plot_by_hour(evaluation), "Performance by hour", BY_HOUR if known else NO_INTERVALS)
    return [section("By hour", shown, table("At each hour", ["Hour", *map(str, wide.columns)], rows))]


def metric_meanings(evaluation: Evaluation) -> Markup:
    """Return the section that says what 0, 0.5 and 1 mean for each metric shown.

    Parameters
    ----------
    evaluation : Evaluation
        Of any type of task.

    Returns
    -------
    Markup
        The section.
    """
    descriptions = {describe_metric(metric)[0]: None for metric in evaluation.metrics["metric"]}
    rows = [[one.label, one.direction_text or "neither", one.at_zero, one.at_half, one.at_one] for one in descriptions]
    columns = ["Metric", "Better", "0 means", "0.5 means", "1 means"]
    return section(
        "How to read the metrics", table("Meaning of the values 0, 0.5 and 1", columns, rows, n_text_columns=5)
    )


def _differences(evaluation: Evaluation) -> list[Markup]:
    """Paired differences from all baselines."""
    if evaluation.differences.empty:
        return []
    shown = differences_table(evaluation)[["verdict", "difference"]]
    rows = [[str(pair), *cells] for pair, cells in zip(shown.index, shown.to_numpy().tolist(), strict=True)]
    caption = "On the same resamples of patients; a model is better where p < 0.05 after Holm's correction"
    columns = ["Models, metric", "Verdict", "Difference"]
    return [section("Paired differences", table(caption, columns, rows, n_text_columns=2))]


def _faithfulness(result: Faithfulness, shown: Sequence[int], min_cell_size: int) -> Markup:
    """The perturbation tests; counts are shown where they do not reveal one, given those shown before."""
    counts = [count for count in (result.n_stays, result.n_patients) if count is not None]
    kept = suppress_nested([*shown, *counts], min_cell_size=min_cell_size)[len(shown) :]
    stays, patients = kept if len(kept) == 2 else (None, None)
    facts = replace(result, n_stays=stays, n_patients=patients).summary()
    items = tag("ul", *(tag("li", f"{capitalize_first(name)}: {fact}") for name, fact in facts.items()))
    methods = table(PERTURBATION, result.column_names(), result.table_rows(min_cell_size=min_cell_size))
    quiet = tag("p", FAITHFULNESS, attrs={"class": "quiet"})
    return section("Are the explanations faithful to the model?", methods, items, quiet)


def cohort_section(flow: Sequence[tuple[str, int | None]]) -> list[Markup]:
    """Return the section on the cohort flow.

    Parameters
    ----------
    flow : sequence of (str, int or None)
        Steps and stays left; None where suppressed.

    Returns
    -------
    list of Markup
        One section; none without steps. How many a step excluded is shown where both counts are.
    """
    if not flow:
        return []
    items: list[Markup] = []
    before = flow[0][1]
    for step, left in flow:
        if before is not None and left is not None and left != before:
            items.append(tag("li", f"↓ {before - left:,} left out", attrs={"class": "out"}))
        items.append(tag("li", tag("span", step), tag("b", format_count(left) if left is None else f"{left:,} stays")))
        before = left
    is_suppressed = any(left is None for _, left in flow)
    note = [tag("p", SUPPRESSED_COUNT, attrs={"class": "quiet"})] if is_suppressed else []
    return [section("Cohort", *note, tag("ol", *items, attrs={"class": "flow"}))]


def ledger_section(ledger: Ledger, shown: Sequence[int], min_cell_size: int) -> Markup:
    """Return the section on the intake ledger.

    Parameters
    ----------
    ledger : Ledger
        What became of each row of the extract.
    shown : sequence of int
        Counts of stays shown elsewhere on the page.
    min_cell_size : int
        Smallest count that may be shown.

    Returns
    -------
    Markup
        The section.
    """
    entries = {str(what): int(count) for what, count in ledger.to_frame().itertuples(index=False)}
    counts = suppress_ledger(entries, shown=shown, min_cell_size=min_cell_size)
    rows = [[what, format_count(count)] for what, count in counts.items()]
    caption = "What became of each row of the extract"
    return section("Intake ledger", table(caption, ["What", "Rows"], rows))
