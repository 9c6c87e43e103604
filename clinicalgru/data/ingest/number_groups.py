"""Groups of numbers in place of numbers, as de-identified tables write them: "60-69", "[70-80)", "80+"."""

from __future__ import annotations

import numpy as np
import pandas as pd

NUMBER = r"(\d+(?:\.\d+)?)"
UNIT = r"\s*(?:years?(?:\s*old)?|yrs?|y|kg|cm)?"
BETWEEN = rf"[\[(]?\s*{NUMBER}{UNIT}\s*(?:-|–|—|to|and)\s*{NUMBER}\s*[\])]?{UNIT}"
WORDS = r"(?:or|and)\s+(?:over|above|older|more|under|below|younger|less)"
OPEN = rf"{NUMBER}{UNIT}\s*(?:\+|-|{WORDS}){UNIT}"  # "> 70" alone may be any number: it stays no value


def group_values(text: pd.Series) -> pd.Series:
    """Give one number for each group of numbers.

    Parameters
    ----------
    text : Series of str
        Cells; NA where blank.

    Returns
    -------
    Series of float
        The middle between two bounds; the bound of an open group; NaN where the cell is no group.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.data.ingest.number_groups import group_values
    >>> group_values(pd.Series(["60-69", "[70-80)", "80+", "72", None])).tolist()
    [64.5, 75.0, 80.0, nan, nan]
    """
    is_plain = text.isna() | pd.to_numeric(text, errors="coerce").notna()
    if is_plain.all():  # nearly always
        return pd.Series(np.nan, index=text.index)
    cells = text.astype("string").str.strip().str.casefold()
    between = _numbers(cells, BETWEEN)
    middle = between.mean(axis=1).where(between[0] <= between[1])
    return middle.fillna(_numbers(cells, OPEN)[0])


def _numbers(cells: pd.Series, pattern: str) -> pd.DataFrame:
    """The numbers that a pattern finds in each whole cell; NaN where it does not fit."""
    return cells.str.extract(rf"^{pattern}$").astype(float)
