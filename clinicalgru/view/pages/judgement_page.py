"""How good answers of any kind of task are: several classes, several outcomes, a number, warnings, survival."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from clinicalgru.disclosure import MIN_CELL_SIZE, suppress_flow, suppress_nested
from clinicalgru.evaluate.judgement import about, named
from clinicalgru.html import Markup, table, tag
from clinicalgru.view.pages.evaluation_page import LIMITS, cohort_section, ledger_section
from clinicalgru.view.pages.html_page import figure, page, section, tiles, write
from clinicalgru.view.plots.evaluation_plots import plot_groups, plot_number_groups
from clinicalgru.view.text.format import capitalize_first, format_fixed, format_interval, iter_rows

if TYPE_CHECKING:
    from clinicalgru.data.ledger import Ledger
    from clinicalgru.evaluate.judgement import Judgement

NOTHING: Mapping[str, str] = MappingProxyType({})
TILES: Mapping[str, int] = MappingProxyType({"forecast": 3})  # the others are of single variables; else 4
FIRST: Mapping[str, str] = MappingProxyType(
    {
        "multiclass": "auroc_mean",
        "multilabel": "auroc_mean",
        "regression": "mean_absolute_error",
        "early_warning": "utility",
        "survival": "concordance",
        "forecast": "scaled_error",
    }
)  # the metric that the words are about
READING: Mapping[str, str] = MappingProxyType(
    {
        "multiclass": "AUROC of a class: how often a stay of it is given a higher probability of it than another stay.",
        "multilabel": "Each outcome is judged on the stays in which it is known.",
        "regression": "Explained variance: 0 is as good as telling everybody the mean, 1 is perfect.",
        "early_warning": (
            "Utility: of the PhysioNet/CinC Challenge 2019; 0 is as good as never warning, 1 the best there is, below "
            "0 the warnings do harm."
        ),
        "survival": (
            "Concordance: how often the stay with the earlier event was expected to have it earlier; 0.5 is chance. "
            "Brier score: 0 is perfect."
        ),
        "forecast": (
            "Errors are those of medians, in the unit of each variable. Error and interval score as parts of the mean "
            "absolute error of the last value carried forward: below 1 an error is smaller than that."
        ),
    }
)
CALIBRATED = (
    "On the dotted line, what is predicted comes true. Each mark is a group of stays with like predictions, its 95 % "
    "interval beside it; groups of few stays are joined or withheld."
)
CENSORED = " Observed: one minus Kaplan and Meier's survival of the group."


def judgement_page(
    judgement: Judgement,
    path: str | os.PathLike[str],
    *,
    ledger: Ledger | None = None,
    flow: Sequence[tuple[str, int]] = (),
    provenance: Mapping[str, str] = NOTHING,
    title: str = "Evaluation",
    min_cell_size: int = MIN_CELL_SIZE,
) -> Path:
    """One offline HTML page of a judgement: words first, then calibration, tables, data and limits.

    judgement  a `Judgement`
    path, ledger, flow, provenance, title, min_cell_size   as of `evaluation_page`
    returns    the path
    Refused: a path that is a folder.

    >>> from tempfile import mkdtemp
    >>> from clinicalgru.evaluate.judgement import judge
    >>> from clinicalgru.evaluate.multi_metrics import all_of, regression_metrics
    >>> figures = all_of(regression_metrics([1.0, 2, 3], [1.5, 2, 2]))
    >>> judged = judge({"GRU": figures}, 3, kind="regression", n_resamples=50)
    >>> judgement_page(judged, Path(mkdtemp()) / "number.html").name
    'number.html'
    """
    min_cell_size = 0 if provenance.get("simulated") == "yes" else min_cell_size
    beside = [count for count in suppress_nested([judgement.stays], min_cell_size=min_cell_size) if count is not None]
    steps = suppress_flow(flow, within=beside, min_cell_size=min_cell_size)
    shown = [*beside, *(stays for _, stays in steps if stays is not None)]
    parts = [_short(judgement), *_calibration(judgement), _metrics(judgement), *_differences(judgement)]
    parts += [*cohort_section(steps), *([] if ledger is None else [ledger_section(ledger, shown, min_cell_size)])]
    lead = f"{judgement.name} on {judgement.heading(min_cell_size=min_cell_size)}"
    return write(page(title, lead, *parts, provenance=provenance, limits=LIMITS), path)


def _short(judgement: Judgement) -> Markup:
    own = judgement.metrics.query("model == @judgement.name")
    first = [FIRST[judgement.kind], *own["metric"]]
    order = [metric for place, metric in enumerate(first) if metric not in first[:place]]
    rows = own.set_index("metric").loc[order[: TILES.get(judgement.kind, 4)]].reset_index()
    shown = [
        (named(row.metric, best=False), format_fixed(row.estimate), f"95 %: {format_interval(row.low, row.high)}")
        for row in iter_rows(rows)
    ]
    said = [tag("p", one, attrs={"class": "lead"}) for one in _sentences(judgement)]
    return section("In short", tiles(shown), tag("div", *said, attrs={"class": "card"}))


def _sentences(judgement: Judgement) -> list[str]:
    """The first metric of the model, of each baseline, and what is between them."""
    metric = FIRST[judgement.kind]
    ours = {row.model: row for row in iter_rows(judgement.metrics.query("metric == @metric"))}
    own, best = ours[judgement.name], about(metric)[2]
    what = capitalize_first(named(metric, best=False))
    said = [
        f"{what}: {format_fixed(own.estimate)} (95 % interval {format_interval(own.low, own.high)}); {best} is better."
    ]
    for row in iter_rows(judgement.differences.query("metric == @metric")):
        apart = f"{format_fixed(row.estimate, signed=True)} ({format_interval(row.low, row.high, signed=True)})"
        said.append(f"{row.baseline}: {format_fixed(ours[row.baseline].estimate)}; difference {apart}: {row.verdict}.")
    return [*said, *(f"{name}: {fact}." for name, fact in judgement.facts.items())]


def _calibration(judgement: Judgement) -> list[Markup]:
    """Predicted against observed, where groups stay apart."""
    if not judgement.groups:
        return []
    if judgement.kind == "regression":
        [(name, groups)] = judgement.groups.items()
        return [section("Calibration", figure(plot_number_groups(name, groups), "Predicted and observed", CALIBRATED))]
    words = CALIBRATED + (CENSORED if judgement.kind == "survival" else "")
    return [section("Calibration", figure(plot_groups(judgement.groups), "Predicted and observed", words))]


def _metrics(judgement: Judgement) -> Markup:
    wide = judgement.metrics_table()
    rows = [[str(metric), *cells] for metric, cells in zip(wide.index, wide.to_numpy().tolist(), strict=True)]
    shown = table(judgement.note(), ["Metric", *map(str, wide.columns)], rows)
    return section("All metrics", shown, tag("p", READING[judgement.kind], attrs={"class": "quiet"}))


def _differences(judgement: Judgement) -> list[Markup]:
    if judgement.differences.empty:
        return []
    shown = judgement.differences_table()[["verdict", "difference"]]
    rows = [[str(pair), *cells] for pair, cells in zip(shown.index, shown.to_numpy().tolist(), strict=True)]
    caption = "On the same resamples of patients; a model is better where the interval leaves out 0"
    return [
        section(
            "Paired differences", table(caption, ["Models, metric", "Verdict", "Difference"], rows, n_text_columns=2)
        )
    ]
