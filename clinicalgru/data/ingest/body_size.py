"""Warns where height and weight of many stays are those of no cohort: one is probably in another unit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from clinicalgru.errors import DataWarning

HEIGHT, WEIGHT = "height", "admission_weight"
MIN_STAYS = 20
BODY_MASS = (13.0, 42.0)  # kg/m2; medians of cohorts of children and of bariatric surgery lie inside
MAX_WEIGHT = 130.0  # kg; the median of adults in pounds is about 170


def warn_of_body_size(stays: pd.DataFrame, units: Mapping[str, str]) -> None:
    """Warn where the median body mass index, or the median weight, is that of no cohort.

    Parameters
    ----------
    stays : DataFrame
        Stays with height (cm) and admission_weight (kg), where they are known.
    units : mapping of str to str
        Units that the user named; a variable among them is not doubted.

    Warns
    -----
    DataWarning
        With the median of at least 20 stays, and how the unit is named.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.data.ingest.body_size import warn_of_body_size
    >>> warn_of_body_size(pd.DataFrame({"admission_weight": [80.0] * 30, "height": [170.0] * 30}), {})
    """
    weight = stays[WEIGHT] if WEIGHT in stays else pd.Series(float("nan"), stays.index)
    height = stays[HEIGHT] if HEIGHT in stays else pd.Series(float("nan"), stays.index)
    index = (weight / (height / 100) ** 2).dropna()
    median = float(np.median(index)) if len(index) else float("nan")
    if len(index) >= MIN_STAYS:
        low, high = BODY_MASS
        what, number, is_odd = "body mass index", f"{median:.0f} kg/m2", not low <= median <= high
    else:
        known = weight.dropna()
        median = float(np.median(known)) if len(known) else float("nan")
        what, number = "admission_weight", f"{median:.0f} kg"
        is_odd = len(known) >= MIN_STAYS and median > MAX_WEIGHT
    if not is_odd or {HEIGHT, WEIGHT} <= set(units):
        return
    message = (
        f"The median {what} is {number}: a unit looks swapped. Name the units of the table, such as "
        f"units={{'{WEIGHT}': '[lb_av]', '{HEIGHT}': '[in_i]'}} for pounds and inches."
    )
    warnings.warn(message, DataWarning, stacklevel=2)
