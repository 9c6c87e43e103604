"""Case mix: the inputs of training next to those of other stays, by variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.table_one import count_decimals
from clinicalgru.model.input_profile import input_profile

COLUMNS = [
    "variable",
    "unit",
    "share_training",
    "share_here",
    "per_stay_training",
    "per_stay_here",
    "mean_training",
    "mean_here",
    "range_training",
    "range_here",
    "difference",
    "decimals",
]
LARGE = 0.25  # standardised difference from which a variable counts as differing


def compare_case_mix(trained_on: Mapping[str, Any], stays: Sequences) -> pd.DataFrame:
    """Compare other stays with the training stays of a model, by variable.

    Parameters
    ----------
    trained_on : mapping
        What the model learned from, with its `inputs`.
    stays : Sequences
        The other stays, with the variables of the model.

    Returns
    -------
    DataFrame
        A row for each variable, static covariates first: variable (label), unit; share of the stays with a value and
        mean number of measurements of those, in training and here; mean and range of the values; difference
        (standardised, here minus training); decimals that suit the spread. Of two categories the mean is the percentage
        of the second; more than two have none. NaN where too few patients have the variable; empty where the model
        knows nothing of its inputs.

    Notes
    -----
    All numbers are of groups of at least 11 patients, as of `input_profile`: the range is that of the means of such
    groups, and the standardised difference (Austin 2009, Stat Med 28:3083-3107) divides by their spread.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> task = cg.Task.load("in_hospital_mortality")
    >>> stays = cg.select(cg.read_events(cg.simulate(120)), task)
    >>> model = cg.SummaryBaseline("logistic regression").fit(stays)
    >>> float(compare_case_mix(model.trained_on_, stays)["difference"].abs().max())
    0.0
    """
    trained = trained_on.get("inputs", {})
    if not trained or len(stays) == 0:
        return pd.DataFrame(columns=COLUMNS)
    here = input_profile(stays)
    rows = [
        _row(variable, trained[kind].get(variable.name, {}), here[kind].get(variable.name, {}))
        for kind, variables in (("static_variables", stays.static_variables), ("variables", stays.variables))
        for variable in variables
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(variable: Any, trained: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    names = list(variable.categories.values())  # static covariates hold positions among them
    is_pair, has_mean = len(names) == 2, len(names) in (0, 2)  # positions of more categories have no mean
    row: dict[str, Any] = {"variable": f"{variable.label}: {names[1]}" if is_pair else variable.label}
    row["unit"] = "%" if is_pair else variable.unit
    profiles = {"training": trained, "here": here}
    known = {name: np.array(one.get("quantiles", []) if has_mean else [], float) for name, one in profiles.items()}
    known = {name: groups * (100 if is_pair else 1) for name, groups in known.items()}
    decimals = count_decimals(np.concatenate(list(known.values())))
    moments = []
    for place, profile in profiles.items():
        groups = known[place]
        row[f"share_{place}"] = profile.get("share", np.nan)
        per_stay = profile.get("per_stay")
        row[f"per_stay_{place}"] = np.nan if per_stay is None else per_stay
        row[f"mean_{place}"] = groups.mean() if len(groups) else np.nan
        has_range = len(groups) > 1 and not is_pair
        row[f"range_{place}"] = f"{groups[0]:,.{decimals}f} to {groups[-1]:,.{decimals}f}" if has_range else ""
        moments.append((row[f"mean_{place}"], groups.std() if len(groups) > 1 else np.nan))
    (mean_training, sd_training), (mean_here, sd_here) = moments
    spread = np.sqrt((sd_training**2 + sd_here**2) / 2)
    row["difference"] = (mean_here - mean_training) / spread if spread > 0 else np.nan
    return row | {"decimals": decimals}
