"""Preparation for an explanation, once per call: networks, target, and the stays as these networks see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import ArgumentError
from clinicalgru.explain.targets import Explainable, MemberNetwork, first_estimator, member_networks
from clinicalgru.model.estimators.base import GRUEstimator
from clinicalgru.model.estimators.ensemble import GRUEnsemble
from clinicalgru.model.fit_state import check_variables
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target
from clinicalgru.model.network.codes import known_codes
from clinicalgru.model.patient_overlap import overlapping_stays
from clinicalgru.model.provenance import provenance
from clinicalgru.model.training.torch_settings import threads, torch_defaults

KNOWN = "the prediction may be closer to what occurred than that for a new patient"


@dataclass(frozen=True, eq=False)
class PreparedStays:
    """Stays that were checked against a model, and what explains them.

    Attributes
    ----------
    networks : tuple of MemberNetwork
        One, or one per member of an ensemble.
    stays : Sequences
        With the coded events that any of the networks knows.
    variables, static_variables : tuple of Variable
        Those of the model.
    provenance : mapping of str to str
        See `provenance`.
    n_threads : int
        Torch threads of the model.
    model : GRU estimator or GRUEnsemble
        The model.
    """

    networks: tuple[MemberNetwork, ...]
    stays: Sequences
    variables: tuple[Variable, ...]
    static_variables: tuple[Variable, ...]
    provenance: Mapping[str, str]
    n_threads: int
    model: Explainable

    @property
    def target(self) -> ExplanationTarget:
        """What is explained; its name, unit and scale are those of all networks."""
        return self.networks[0].target

    def with_stay(self, stay: Sequences) -> PreparedStays:
        """Replace the stay by an edited version of it.

        Parameters
        ----------
        stay : Sequences
            One stay with edited measurements.

        Returns
        -------
        PreparedStays
        """
        return replace(self, stays=_as_of(stay, None, self.networks[0].head.per_step))

    def with_stays(self, stays: Sequences) -> PreparedStays:
        """Replace the stays by others, which are explained at their ends.

        Parameters
        ----------
        stays : Sequences
            Stays of the same variables, each with a measurement.

        Returns
        -------
        PreparedStays
        """
        codes = {code for member in self.networks for code in member.network.spec.code_vocabulary}
        return replace(self, stays=known_codes(stays, tuple(sorted(codes))))

    def by_network(self) -> list[tuple[MemberNetwork, Sequences]]:
        """Pair each network with the stays as it sees them: with the coded events it knows.

        Returns
        -------
        list of (MemberNetwork, Sequences)
        """
        return [(member, member.with_known_codes(self.stays)) for member in self.networks]

    @contextmanager
    def computing(self, *, grad: bool = False) -> Iterator[None]:
        """Compute with the threads of the model, whatever torch settings the caller has switched on.

        Parameters
        ----------
        grad : bool
            Whether operations are recorded for gradients.

        Yields
        ------
        None
            Within the context the settings of torch are those of the model.
        """
        with torch_defaults(grad=grad), threads(self.n_threads):
            yield


def stay_label(stay: Sequences, *, show_id: bool) -> str:
    """Name one stay in a result.

    Parameters
    ----------
    stay : Sequences
        One stay.
    show_id : bool
        Whether the identifiers of stay and patient are shown.

    Returns
    -------
    str
        "stay", or with the identifiers, so that a printed page can be matched.
    """
    return f"stay {stay.stay[0]} of patient {stay.patient[0]}" if show_id else "stay"


def prepare_stay(
    model: Explainable, stay: Sequences, *, caller: str, target: Target = None, at_hours: float | None = None
) -> PreparedStays:
    """Check one stay and cut it at an hour.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stay : Sequences
        One stay.
    caller : str
        Name of the function that the user called, for errors.
    target : str, float or None
        See `clinicalgru.explain`.
    at_hours : float or None
        Hours since the index time. None: the end of the stay. A model that predicts after each time step is explained
        at the last time step up to then.

    Returns
    -------
    PreparedStays

    Raises
    ------
    ArgumentError
        If it is not one stay, has no measurement by then, or the model cannot be explained.
    VariableMismatch
        If its variables are not those of the model.
    """
    fix = f"Write {caller}(model, sequences[[i]])."
    check_instance("stay", stay, Sequences, fix=fix)
    check_number("at_hours", at_hours, optional=True)
    if len(stay) != 1:
        raise ArgumentError("one stay", f"{len(stay)} stays", fix)
    networks = member_networks(model, target)
    _check_variables(model, stay)
    prepared = _prepared(model, _as_of(stay, at_hours, networks[0].head.per_step), networks)
    uses = " and for ".join(overlapping_stays(model, stay))
    known = {"this_patient": f"used for {uses} of the model, if it is the same person; {KNOWN}"} if uses else {}
    return replace(prepared, provenance={**prepared.provenance, **known})


def prepare_stays(model: Explainable, stays: Sequences, *, target: Target = None) -> PreparedStays:
    """Check many stays, which are explained at their ends.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stays : Sequences
        Each with a measurement.
    target : str, float or None
        See `clinicalgru.explain`.

    Returns
    -------
    PreparedStays

    Raises
    ------
    ArgumentError
        If a stay has no measurement, or the model cannot be explained.
    VariableMismatch
        If the variables are not those of the model.
    """
    check_instance("stays", stays, Sequences, fix="Pass sequences, as select(events, task) gives them.")
    networks = member_networks(model, target)
    _check_variables(model, stays)
    return _prepared(model, stays, networks)


def check_one_network(model: Explainable, caller: str) -> None:
    """Refuse an ensemble where a single network is inspected.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        The model.
    caller : str
        Name of the function that the user called, for the error.

    Raises
    ------
    ArgumentError
        If it is an ensemble.
    """
    if isinstance(model, GRUEnsemble):
        got = f"an ensemble of {len(getattr(model, 'members_', ()))}"
        raise ArgumentError("a model of one network", got, f"Use one of its members: {caller}(model.members_[0], ...).")


def _prepared(model: Explainable, stays: Sequences, networks: tuple[MemberNetwork, ...]) -> PreparedStays:
    n_unmeasured = int((stays.n_measurements == 0).sum())
    if n_unmeasured or not len(stays):
        got = f"{n_unmeasured} stays without any" if len(stays) else "0 stays"
        fix = "Leave them out: sequences[sequences.n_measurements > 0]."
        raise ArgumentError("at least one measurement in each stay", got, fix)
    codes = {code for member in networks for code in member.network.spec.code_vocabulary}
    return PreparedStays(
        networks=networks,
        stays=known_codes(stays, tuple(sorted(codes))),
        variables=model.variables_,
        static_variables=model.static_variables_,
        provenance=provenance(model),
        n_threads=int(first_estimator(model).n_threads),
        model=model,
    )


def _check_variables(model: Explainable, stays: Sequences) -> None:
    estimator: GRUEstimator = first_estimator(model)
    check_variables(stays, estimator.variables_, estimator.static_variables_)


def _as_of(stay: Sequences, at_hours: float | None, per_step: bool) -> Sequences:
    """One stay as it was known at an hour; for predictions after each step, at the last step up to then."""
    if at_hours is None and not per_step:
        return stay
    end = float(stay.end_hours[0]) if at_hours is None else min(float(at_hours), float(stay.end_hours[0]))
    measured = stay.hours[stay.hours <= end]
    if per_step and len(measured):
        end = measured[-1]
    return stay.truncate_at(np.array([end]))
