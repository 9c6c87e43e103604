"""Units as clinicians write them."""

from __future__ import annotations

UNITS = {
    "1": "", "[pH]": "", "a": "years", "Cel": "°C", "mm[Hg]": "mmHg", "cm[H2O]": "cmH₂O", "10*9/L": "×10⁹/L",
    "10*12/L": "×10¹²/L",
}  # fmt: skip


def format_unit(code: str) -> str:
    """Format a UCUM code as clinicians write the unit.

    Parameters
    ----------
    code : str
        UCUM code.

    Returns
    -------
    str
        Empty where a value has no unit.

    Examples
    --------
    >>> from clinicalgru.data.dictionary.unit_text import format_unit
    >>> format_unit("umol/L"), format_unit("Cel"), format_unit("1"), format_unit("/min")
    ('µmol/L', '°C', '', '/min')
    """
    return UNITS.get(code, code.replace("ug/", "µg/").replace("umol/", "µmol/").replace("uU/", "µU/"))
