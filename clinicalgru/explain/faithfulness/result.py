"""The result of `faithfulness`, and its table as text."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from clinicalgru.disclosure import MIN_CELL_SIZE, SUPPRESSED, format_count, is_small
from clinicalgru.html import summary_html, table

COLUMNS = {"deletion": "↑", "insertion": "↑", "comprehensiveness": "↑", "sufficiency": "↓"}  # better direction
CAPTION = "Measurements removed in the order of each method; ↑ higher is better, ↓ lower is better"


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Faithfulness of explanations to the model, next to other orders of the measurements.

    Attributes
    ----------
    table : DataFrame
        One row per method: method; deletion and insertion (log-odds), with deletion_low and deletion_high (95 %, by
        patient); comprehensiveness and sufficiency (risk); win_rate_random and win_rate_attention (fraction of the
        stays on which deletion in this order lowers the log-odds more than in random orders, or that of attention);
        difference, difference_low, difference_high (deletion minus that of the contributions on the same stays, 95 % by
        patient).
    n_stays, n_patients : int or None
        Size of the cohort; None where the count is small.
    max_completeness_error : float
        Largest absolute completeness gap of a stay, in log-odds.
    random_weights_correlation : float
        Rank correlation of the contributions with those of the same network with random weights; near 0 is good.
    seed_stability : float or None
        Rank correlation with the contributions of a second model; 1 is best. None if there was none.
    driver_auroc : float or None
        AUROC with which the size of contributions separates planted drivers from other measurements. 1 is best, 0.5
        is chance. None if no drivers are known.
    simulated : bool
        Whether the stays are; only then small counts are printed.
    """

    table: pd.DataFrame
    n_stays: int | None
    n_patients: int | None
    max_completeness_error: float
    random_weights_correlation: float
    seed_stability: float | None = None
    driver_auroc: float | None = None
    simulated: bool = False

    def summary(self) -> dict[str, str]:
        """Give what there is besides the table, as text by name.

        Returns
        -------
        dict of str to str
        """
        summary = {
            "stays, patients": f"{format_count(self.n_stays)}, {format_count(self.n_patients)}",
            "largest completeness gap": f"{self.max_completeness_error:.5f} log-odds",
            "rank correlation with random weights": f"{self.random_weights_correlation:+.3f}",
        }
        if self.seed_stability is not None:
            summary["rank correlation with another seed"] = f"{self.seed_stability:+.3f}"
        if self.driver_auroc is not None:
            summary["planted drivers, AUROC"] = f"{self.driver_auroc:.3f}"
        return summary

    def table_rows(self, *, min_cell_size: int | None = None) -> list[list[str]]:
        """Give the table as text, one row per method.

        Parameters
        ----------
        min_cell_size : int or None
            A fraction is printed as a bound where it, or its complement, is of fewer stays. None: the default of the
            package, 0 for simulated stays.

        Returns
        -------
        list of list of str
        """
        least = min_cell_size if min_cell_size is not None else 0 if self.simulated else MIN_CELL_SIZE
        return [
            [
                str(row["method"]),
                f"{row['deletion']:+.3f} ({row['deletion_low']:+.3f} to {row['deletion_high']:+.3f})",
                _difference_text(row),
                *(f"{row[name]:+.3f}" for name in ("insertion", "comprehensiveness", "sufficiency")),
                *(_fraction_text(row[name], self.n_stays, least) for name in ("win_rate_random", "win_rate_attention")),
            ]
            for row in self.table.to_dict("records")
        ]

    def column_names(self) -> list[str]:
        """Give a name for each column of `table_rows`.

        Returns
        -------
        list of str
        """
        metrics = [f"{name.capitalize()} {direction}" for name, direction in COLUMNS.items()]
        return ["Order", metrics[0], "Minus contributions", *metrics[1:], "Beats random", "Beats attention"]

    def __str__(self) -> str:
        lines = [f"{name}: {text}" for name, text in self.summary().items()]
        names = ["", "deletion (95 %)", "minus contributions", "insertion", "compreh.", "suffic."]
        names += ["beats random", "beats attention"]
        widths = [34, 26, 28, 11, 10, 9, 14, 17]
        for name, *cells in [names, *self.table_rows()]:
            lines.append(name.ljust(widths[0]) + "".join(map(str.rjust, cells, widths[1:])))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return summary_html("Faithfulness", self.summary(), table(CAPTION, self.column_names(), self.table_rows()))


def _difference_text(row: dict[Hashable, Any]) -> str:
    if not row["difference_high"] > row["difference_low"]:
        return ""
    return f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})"


def _fraction_text(fraction: float, n_stays: int | None, min_cell_size: int) -> str:
    """A fraction of stays; a bound in whole percent where it would give away the count of a few of them.

    >>> _fraction_text(0.99, 400, 11), _fraction_text(0.99, 400, 0), _fraction_text(0.8, None, 11)
    ('over 97%', '99.0%', 'suppressed')
    """
    if pd.isna(fraction):
        return ""
    if n_stays is None:
        return SUPPRESSED if min_cell_size else f"{fraction:.1%}"
    few = (min_cell_size - 1) / n_stays
    if is_small(round(fraction * n_stays), min_cell_size):
        return f"under {math.ceil(100 * few) + 1}%"
    if is_small(round((1 - fraction) * n_stays), min_cell_size):
        return f"over {math.floor(100 * (1 - few))}%"
    return f"{fraction:.1%}"
