"""Top-coded values: de-identified data give all values above a limit as one group."""

from __future__ import annotations

from dataclasses import dataclass

WORDS: tuple[str, ...] = ("> {n}", ">{n}", ">= {n}", ">={n}", "≥ {n}", "≥{n}", "{n}+", "{n} +", "over {n}", "above {n}")
ENDINGS = ("", " years", " yrs", " y", "y")
WORDS += ("{n} or older", "{n} and older", "{n} or over", "{n} and over", "{n} or above", "{n} and above")


@dataclass(frozen=True)
class TopCode:
    """How values above a limit are written as one group.

    Parameters
    ----------
    value : float
        What the group is taken as: 90 for ages above 89.
    codes : tuple of float
        Numbers that stand for the group, from and to: 299 to 320, as MIMIC-III moves births back by 300 years.

    References
    ----------
    Ages above 89 are one group: US Code of Federal Regulations, 45 CFR 164.514(b)(2)(i)(C).

    Examples
    --------
    >>> top = TopCode(90, (299, 320))
    >>> [word in top.words() for word in ("> 89", "89+", "≥90", "> 70")]
    [True, True, True, False]
    """

    value: float
    codes: tuple[float, float]

    def words(self) -> tuple[str, ...]:
        """Words for the group, in lower case.

        Returns
        -------
        tuple of str
            "> 89", "89+", "90 or older", ...
        """
        limits = (self.value - 1, self.value)
        words = [word.format(n=f"{limit:g}") for limit in limits for word in WORDS]
        return tuple(word + ending for word in words for ending in ENDINGS)

    def note(self, name: str) -> str:
        """What the ledger says of such values.

        Parameters
        ----------
        name : str
            The variable.

        Returns
        -------
        str
            The text of a note.
        """
        return f"{name} above {self.value - 1:g}, given as a group (taken as {self.value:g})"
