"""How often the outcome occurred among stays of similar risk, in pooled groups in which no patient can be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from clinicalgru.disclosure import MIN_CELL_SIZE
from clinicalgru.evaluate.patient_intervals import patient_products, wilson_interval

MAX_GROUPS = 10  # of stays with similar risk
MAX_RANKS = 100  # groups of which only the mean risk is kept, for the rank of a risk
MAX_DISTANCE = 1.0  # log-odds between a risk and the mean of its group, beyond which the group says nothing about it
MAX_WIDTH = 0.4  # of an interval that is still worth saying
SMALLEST = 1e-6
HIGHEST = "highest"  # name of the groups of an early warning, of the highest risk of each stay


@dataclass(frozen=True)
class Standing:
    """Where one risk stands among the stays that calibrated the model.

    Attributes
    ----------
    higher_than : int or None
        Of 100 of these stays, those with a lower risk; None where there are too few stays.
    stays : int
        Stays of similar risk; 0 where no group is similar.
    observed, low, high : float
        Share of the stays of similar risk in which the outcome occurred, with its 95 % interval. NaN where too little
        is known.
    of_highest : bool
        Whether these are the highest risks of stays with a risk at each hour.
    """

    higher_than: int | None
    stays: int
    observed: float
    low: float
    high: float
    of_highest: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the share is known."""
        return not np.isnan(self.observed)


@dataclass(frozen=True, eq=False)
class RiskGroups:
    """Groups of stays of similar risk, of at least 11 patients each, and the mean risks of smaller steps of rank.

    Attributes
    ----------
    mean_risk : tuple of float
        Mean risk of each group, ascending.
    stays, events : tuple of int
        Stays of each group, and those with the outcome. Neither events nor the others are 1 to 10 patients.
    low, high : tuple of float
        95 % interval of the share with the outcome, by patient: see `wilson_interval`.
    ranks : tuple of float
        Mean risks of up to 100 groups of equal size, ascending.
    """

    mean_risk: tuple[float, ...]
    stays: tuple[int, ...]
    events: tuple[int, ...]
    ranks: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.low) != len(self.stays):  # of an earlier version, which did not know the patients
            self._set_interval(*wilson_interval(np.array(self.events) / self.stays, np.array(self.stays)))

    def _set_interval(self, low: np.ndarray, high: np.ndarray) -> None:
        for name, ends in (("low", low), ("high", high)):
            object.__setattr__(self, name, tuple(float(end) for end in ends))

    @classmethod
    def of(cls, outcome: np.ndarray, risk: np.ndarray, patients: np.ndarray) -> RiskGroups:
        """Pool stays by their risk.

        Parameters
        ----------
        outcome : ndarray of float, shape (stay,)
            1 where the outcome occurred, 0 where not; NaN does not count.
        risk : ndarray of float, shape (stay,)
            Calibrated risks.
        patients : ndarray, shape (stay,)
            Patient of each stay.

        Returns
        -------
        RiskGroups
            Empty of fewer than 11 patients.

        Examples
        --------
        >>> import numpy as np
        >>> from clinicalgru.evaluate.risk_groups import RiskGroups
        >>> risk = np.linspace(0.01, 0.99, 400)
        >>> groups = RiskGroups.of((risk > 0.5).astype(float), risk, np.arange(400))
        >>> sum(groups.stays), sum(groups.events)
        (400, 200)
        """
        known = ~np.isnan(outcome) & ~np.isnan(risk)
        patient = pd.factorize(patients[known].astype(str))[0]
        frame = pd.DataFrame({"outcome": outcome[known], "risk": risk[known], "patient": patient})
        frame = frame.sort_values("risk", kind="stable", ignore_index=True)
        n_patients = frame["patient"].nunique()
        if n_patients < MIN_CELL_SIZE:
            return cls((), (), (), ())
        parts = [part for part in np.array_split(frame.index.to_numpy(), MAX_GROUPS) if len(part)]
        groups = _pooled([frame.loc[part] for part in parts])
        n_ranks = max(1, min(MAX_RANKS, n_patients // MIN_CELL_SIZE))
        intervals = [_interval(group) for group in groups]
        ranks = _large([frame.loc[part] for part in np.array_split(frame.index.to_numpy(), n_ranks)])
        return cls(
            mean_risk=tuple(round(float(group["risk"].mean()), 4) for group in groups),
            stays=tuple(len(group) for group in groups),
            events=tuple(int(group["outcome"].sum()) for group in groups),
            ranks=tuple(round(float(part["risk"].mean()), 4) for part in ranks),
            low=tuple(low for low, _ in intervals),
            high=tuple(high for _, high in intervals),
        )

    @classmethod
    def ranks_of(cls, risk: np.ndarray, patients: np.ndarray) -> RiskGroups:
        """Pool stays by their risk where their outcomes are not known.

        Parameters
        ----------
        risk : ndarray of float, shape (stay,)
            Calibrated risks.
        patients : ndarray, shape (stay,)
            Patient of each stay.

        Returns
        -------
        RiskGroups
            Ranks only.

        Examples
        --------
        >>> import numpy as np
        >>> from clinicalgru.evaluate.risk_groups import RiskGroups
        >>> standing = RiskGroups.ranks_of(np.linspace(0.01, 0.99, 400), np.arange(400)).standing(0.95)
        >>> standing.higher_than, standing.is_known
        (95, False)
        """
        return cls((), (), (), cls.of(np.zeros(len(risk)), risk, patients).ranks)

    def standing(self, risk: float) -> Standing:
        """Find where a risk stands.

        Parameters
        ----------
        risk : float
            A calibrated risk.

        Returns
        -------
        Standing
            What is known too little is None or NaN.
        """
        unknown = Standing(self._higher_than(risk), 0, np.nan, np.nan, np.nan)
        if not self.mean_risk:
            return unknown
        means = np.clip(np.array(self.mean_risk), SMALLEST, 1 - SMALLEST)
        distance = np.abs(logit(means) - logit(np.clip(risk, SMALLEST, 1 - SMALLEST)))
        group = int(distance.argmin())
        if distance[group] > MAX_DISTANCE:
            return unknown
        n_stays, n_events = self.stays[group], self.events[group]
        low, high = self.low[group], self.high[group]
        if high - low > MAX_WIDTH:
            return unknown
        return Standing(unknown.higher_than, n_stays, n_events / n_stays, low, high)

    def _higher_than(self, risk: float) -> int | None:
        """Of 100 stays, those with a lower risk, between the middles of the groups of rank."""
        n_ranks = len(self.ranks)
        if n_ranks < 2:
            return None
        middles = (np.arange(n_ranks) + 0.5) / n_ranks
        return int(100 * np.interp(risk, self.ranks, middles, left=0.0))

    def to_dict(self) -> dict[str, list[float]]:
        """Give the groups as plain values, for a manifest.

        Returns
        -------
        dict of str to list
            `from_dict` makes equal groups from them.
        """
        fields = ("mean_risk", "stays", "events", "ranks", "low", "high")
        return {name: [float(value) for value in getattr(self, name)] for name in fields}

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[Any]]) -> RiskGroups:
        """Make groups from what `to_dict` gave.

        Parameters
        ----------
        data : mapping
            Fields.

        Returns
        -------
        RiskGroups
            The groups.

        Raises
        ------
        ValueError
            If they contradict each other.
        """
        if len({len(data[name]) for name in ("mean_risk", "stays", "events")}) > 1:
            raise ValueError("groups of different numbers")
        if any(count < MIN_CELL_SIZE for count in data["stays"]) or not np.isfinite(sum(map(sum, data.values()))):
            raise ValueError("groups that are too small")
        whole = {name: tuple(int(count) for count in data[name]) for name in ("stays", "events")}
        ends = {name: tuple(float(end) for end in data.get(name, ())) for name in ("low", "high")}
        if len({len(values) for values in ends.values()}) > 1 or len(ends["low"]) not in (0, len(data["stays"])):
            raise ValueError("intervals of other groups")
        ranks = tuple(data["ranks"])
        return cls(mean_risk=tuple(data["mean_risk"]), ranks=ranks, low=ends["low"], high=ends["high"], **whole)


def _pooled(groups: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Join neighbours until events and others of every group are of no patient, or of at least 11."""
    while len(groups) > 1:
        small = [number for number, group in enumerate(groups) if not _is_safe(group)]
        if not small:
            return groups
        number = small[0]
        other = number + 1 if number == 0 else number - 1
        first, last = min(number, other), max(number, other)
        groups = [*groups[:first], pd.concat([groups[first], groups[last]]), *groups[last + 1 :]]
    return groups if groups and _is_safe(groups[0]) else []


def _interval(group: pd.DataFrame) -> tuple[float, float]:
    """95 % interval of the share with the outcome, by patient."""
    outcome = group["outcome"].to_numpy(dtype=float)
    products = patient_products(outcome, np.zeros(len(group), dtype=np.int64), group["patient"].to_numpy())
    low, high = wilson_interval(outcome.mean(keepdims=True), np.array([len(group)]), products)
    return float(low[0]), float(high[0])


def _is_safe(group: pd.DataFrame) -> bool:
    outcome, patient = group["outcome"].to_numpy(), group["patient"].to_numpy()
    counts = [len(np.unique(patient[outcome == value])) for value in (0, 1)]
    return max(counts) >= MIN_CELL_SIZE and all(count == 0 or count >= MIN_CELL_SIZE for count in counts)


def _large(groups: list[pd.DataFrame]) -> list[pd.DataFrame]:
    return [group for group in groups if group["patient"].nunique() >= MIN_CELL_SIZE]
