"""Unit check: compares distributions to find variables recorded in another unit; proposes conversions, applies none.

Values that were rejected as implausible while reading are included: most temperatures in °F are implausible in °C.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc

from clinicalgru.checks import check_instance
from clinicalgru.data.audit.typical_values import typical
from clinicalgru.data.audit.unit_histograms import histograms_by_site
from clinicalgru.data.audit.unit_mixture import Histograms, UnitMixture, estimate_fraction
from clinicalgru.data.dictionary.dictionary import Dictionary
from clinicalgru.data.dictionary.units import Conversion
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.events import Events
from clinicalgru.data.repeated_stays import stays_once

MIN_VALUES = 100
MIN_LOG_BAYES_FACTOR = 4.0  # from which on a variable is flagged


@dataclass(frozen=True)
class UnitFlag:
    """A variable some or all of whose values seem to be in another unit.

    Attributes
    ----------
    variable : str
        Name of the variable.
    site : str
        Name of the site; "" for all sites together.
    unit : str
        Unit in which the values are kept.
    other : str
        Unit in which the values seem to be.
    fraction : float
        Estimated fraction of values in the other unit, 0 to 1.
    n_values : int
        Number of values.
    conversion : Conversion
        Conversion of `other` to `unit`.
    log_bayes_factor : float
        Natural logarithm of the Bayes factor against "all values are in `unit`".
    """

    variable: str
    site: str
    unit: str
    other: str
    fraction: float
    n_values: int
    conversion: Conversion
    log_bayes_factor: float

    @property
    def proposal(self) -> str:
        """What seems to be wrong and how to check it, as text."""
        place = f" at {self.site}" if self.site else ""
        sign = "-" if self.conversion.offset < 0 else "+"
        offset = f"(value {sign} {abs(self.conversion.offset):g})" if self.conversion.offset else "value"
        formula = f"{offset} * {self.conversion.factor:.6g}"
        return (
            f"{self.variable}{place}: about {self.fraction:.0%} of {self.n_values:,} values "
            f"seem to be in {self.other}, "
            f"not {self.unit}. Check with the source; if so, give the unit of these rows ({self.unit} = {formula})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON, with the proposal.

        Returns
        -------
        dict
            The fields by name, and `proposal`.
        """
        return asdict(self) | {"proposal": self.proposal}


def check_units(events: Events, *, site_column: str | None = None) -> tuple[UnitFlag, ...]:
    """Find variables whose values seem to be in another unit, by variable and site; nothing is converted.

    Measurements, static covariates and values rejected as implausible are used. Variables without a reference
    distribution in data_schemas/typical.yaml, and those with fewer than 100 values, are not checked.

    Parameters
    ----------
    events : Events
        What `read_events` returned; it is not changed.
    site_column : str, optional
        Column of `events.stays` with the site of each stay. Variables flagged at no site are checked over all sites
        together. One site where None.

    Returns
    -------
    tuple of UnitFlag
        The flagged variables, the largest Bayes factor first.

    Raises
    ------
    ArgumentError
        If `events` is not an `Events`, or its stays do not have `site_column`.

    Notes
    -----
    Units close to each other (urea, weight) are distinguished by stays with several values, by values written with
    another number of decimals than the rest, or by many stays.

    Examples
    --------
    >>> from clinicalgru import check_units, read_events, simulate
    >>> cohort = simulate(60)
    >>> check_units(read_events(cohort))
    ()
    >>> undeclared = cohort.measurements.assign(unit=cohort.measurements["unit"].where(lambda unit: unit != "°F"))
    >>> [flag.other for flag in check_units(read_events(undeclared, stays=cohort.stays))]
    ['[degF]']
    """
    check_instance("events", events, Events, fix="Pass what read_events returns.")
    events = stays_once(events)
    variables = _variables(events)
    found = [
        _flag(variables[name], site, histograms)
        for site, name, histograms in histograms_by_site(events, list(variables), site_column)
    ]
    flags = [flag for flag in found if flag is not None]
    flagged_at_site = {flag.variable for flag in flags if flag.site}
    kept = [flag for flag in flags if flag.site or flag.variable not in flagged_at_site]
    return tuple(sorted(kept, key=lambda flag: (-flag.log_bayes_factor, flag.variable, flag.site)))


def _most_likely(variable: Variable, histograms: Histograms) -> tuple[str, UnitMixture] | None:
    """The most likely other unit with its evidence; None where the variable's own unit suffices."""
    if histograms.values.sum() < MIN_VALUES:
        return None
    reference = typical()[variable.name]
    mixtures = [(unit, estimate_fraction(histograms, reference, variable.conversion(unit))) for unit in reference.units]
    unit, mixture = max(mixtures, key=lambda pair: pair[1].log_bayes_factor)
    return (unit, mixture) if mixture.log_bayes_factor >= MIN_LOG_BAYES_FACTOR else None


def _flag(variable: Variable, site: str, histograms: Histograms) -> UnitFlag | None:
    """The flag of a variable at a site, if there is evidence for one."""
    result = _most_likely(variable, histograms)
    if result is None:
        return None
    unit, mixture = result
    return UnitFlag(
        variable=variable.name,
        site=site,
        unit=variable.unit,
        other=unit,
        fraction=mixture.fraction,
        n_values=int(histograms.values.sum()),
        conversion=variable.conversion(unit),
        log_bayes_factor=round(mixture.log_bayes_factor, 1),
    )


def _variables(events: Events) -> dict[str, Variable]:
    """Variables with a reference distribution in their unit, by name; also those whose values were all rejected."""
    shipped = Dictionary.load()
    rejected = pc.unique(events.implausible["variable"]).to_pylist()
    variables = {name: shipped[name] for name in rejected if name in shipped}
    variables |= {variable.name: variable for variable in (*events.variables, *events.static_variables)}
    return {name: v for name, v in variables.items() if name in typical() and v.unit == shipped[name].unit}
