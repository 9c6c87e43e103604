"""Ages as publishers of de-identified data write them."""

from __future__ import annotations

import pandas as pd

HIGHEST_AGE = 90  # ages above 89 are a group of their own in de-identified data (US HIPAA, 45 CFR 164.514)
ABOVE_89 = r"(?:>=?|≥)\s*(?:89|90)(?:\.0+)?|(?:89|90)(?:\.0+)?\s*\+"


def years_of_age(text: pd.Series) -> tuple[pd.Series, int]:
    """Convert ages to numbers; those above 89 become 90.

    Parameters
    ----------
    text : Series of str
        Ages in years: "64", "> 89", "90+", "300"; NA where blank.

    Returns
    -------
    years : Series of str
        Ages as text; what is no age stays as it is, to be counted as not used.
    n_above_89 : int
        How many were above 89.

    Examples
    --------
    >>> import pandas as pd
    >>> from clinicalgru.data.sources.ages import years_of_age
    >>> years, n_above_89 = years_of_age(pd.Series(["64", "> 89", "91", None], dtype=object))
    >>> years.tolist()[:3], n_above_89
    (['64', '90', '90'], 2)
    """
    text = text.astype("string")
    number = pd.to_numeric(text, errors="coerce")
    above = (text.str.fullmatch(ABOVE_89) | (number > HIGHEST_AGE - 1)).fillna(False).astype(bool)
    return text.mask(above, str(HIGHEST_AGE)).astype(object), int(above.sum())
