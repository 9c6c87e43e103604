"""Faithfulness of explanations to the model: perturbation tests, random weights and planted truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from clinicalgru.checks import check_instance, check_number
from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, suppress_nested
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples
from clinicalgru.explain.attribution.contributions import attribute_members
from clinicalgru.explain.faithfulness.perturbation import Perturbation, perturbation_curves
from clinicalgru.explain.faithfulness.result import COLUMNS, Faithfulness
from clinicalgru.explain.prepared import PreparedStays, prepare_stays
from clinicalgru.explain.targets import Explainable, MemberNetwork
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.torch_settings import seeded

CONTRIBUTIONS, ATTENTION, RANDOM = "contributions", "attention", "random order"
N_RESAMPLES = 500
BATCH_SIZE = 64  # stays


def faithfulness(
    model: Explainable,
    sequences: Sequences,
    *,
    model_b: Explainable | None = None,
    drivers: np.ndarray | None = None,
    rankings: Mapping[str, np.ndarray] | None = None,
    n_random: int = 5,
    random_state: int = 0,
) -> Faithfulness:
    """Delete and insert measurements in the order of their contributions, of attention, and at random.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    sequences : Sequences
        Stays, each with a measurement; a few hundred are enough.
    model_b : GRU estimator or GRUEnsemble, optional
        The model trained with another seed, whose explanations are compared.
    drivers : ndarray of bool, shape (measurement,), optional
        Which measurements decide the outcome, where that is known (see `plant`).
    rankings : mapping of str to ndarray of shape (measurement,), optional
        Further scores by name, the highest first.
    n_random : int
        Random orders, whose results are averaged.
    random_state : int
        Seed of the random orders, the random weights and the bootstrap.

    Returns
    -------
    Faithfulness

    Raises
    ------
    ArgumentError
        If a score or the drivers do not fit the measurements, a stay has no measurement, or the model cannot be
        explained.
    VariableMismatch
        If the variables are not those of the model.

    Notes
    -----
    Contributions are ordered from what raised the risk most to what lowered it most. Attention has no sign and is
    ordered from the highest weight on.

    References
    ----------
    Petsiuk et al. 2018; DeYoung et al. 2020. Random weights: Adebayo et al. 2018.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> result = cg.faithfulness(model, stays[:4], n_random=1)
    >>> result.table["method"].tolist(), result.max_completeness_error <= 1e-3
    (['contributions', 'attention', 'random order'], True)
    """
    check_number("n_random", n_random, minimum=1, whole=True)
    check_number("random_state", random_state, minimum=0, whole=True)
    check_instance("rankings", rankings, Mapping, type(None), fix="Pass scores by name, {'name': scores}.")
    prepared, rankings = prepare_stays(model, sequences), dict(rankings or {})
    stays, seed = prepared.stays, int(random_state)
    _check_scores(rankings | ({} if drivers is None else {"drivers": drivers}), stays)
    attribution = attribute_members(prepared)
    contribution = attribution.parts.sum(axis=0)
    with prepared.computing():
        scores = {CONTRIBUTIONS: contribution, ATTENTION: attended(prepared.networks, stays), **rankings}
        results = {name: perturbation_curves(prepared.networks, stays, scores=score) for name, score in scores.items()}
        results[RANDOM] = _random_order(prepared, n_random=int(n_random), random_state=seed)
        random_networks = _random_weights(prepared.networks, seed)
    untrained = attribute_members(replace(prepared, networks=random_networks))
    patient = numbered_patients(stays.patient, len(stays))
    min_cell_size = 0 if stays.simulated else MIN_CELL_SIZE
    n_stays, n_patients = suppress_nested([len(stays), int(patient.max()) + 1], min_cell_size=min_cell_size)
    return Faithfulness(
        table=_table(results, patient, seed),
        n_stays=n_stays,
        n_patients=n_patients,
        max_completeness_error=float(np.abs(attribution.residual).max()),
        random_weights_correlation=rank_correlation(contribution, untrained.parts.sum(axis=0), stays),
        seed_stability=None if model_b is None else _agreement(contribution, model_b, sequences),
        driver_auroc=None if drivers is None else driver_auroc(np.abs(contribution), drivers, stays),
        simulated=stays.simulated,
    )


def attended(networks: Sequence[MemberNetwork], stays: Sequences) -> np.ndarray:
    """Compute the attention of the end of each stay to the time step of each measurement.

    Parameters
    ----------
    networks : sequence of MemberNetwork
        The networks of a model.
    stays : Sequences
        The stays.

    Returns
    -------
    ndarray, shape (measurement,)
        Mean over the networks.
    """
    return np.asarray(np.mean([_attended(member.network, stays) for member in networks], axis=0))


def rank_correlation(a: np.ndarray, b: np.ndarray, stays: Sequences) -> float:
    """Compute the mean over the stays of Spearman's correlation of two scores of their measurements.

    Parameters
    ----------
    a, b : ndarray, shape (measurement,)
        Scores.
    stays : Sequences
        The stays.

    Returns
    -------
    float
        1 for the same order, 0 for unrelated orders, -1 for the reverse order; NaN if no stay has two measurements
        with different scores.
    """
    both = pd.DataFrame({"stay": stays.stay_of_measurement, "a": a, "b": b})
    ranked = both.groupby("stay")[["a", "b"]].rank()
    ranked -= ranked.groupby(both["stay"]).transform("mean")
    products = pd.DataFrame({"ab": ranked["a"] * ranked["b"], "aa": ranked["a"] ** 2, "bb": ranked["b"] ** 2})
    ab, aa, bb = products.groupby(both["stay"]).sum().to_numpy().T
    defined = aa * bb > 0
    return float((ab[defined] / np.sqrt(aa * bb)[defined]).mean()) if defined.any() else float("nan")


def driver_auroc(score: np.ndarray, drivers: np.ndarray, stays: Sequences) -> float:
    """Compute the mean over the stays of the AUROC with which a score separates drivers from other measurements.

    Parameters
    ----------
    score : ndarray, shape (measurement,)
        Such as the size of the contributions.
    drivers : ndarray of bool, shape (measurement,)
        Which measurements decide the outcome.
    stays : Sequences
        Stays without drivers, or with nothing else, do not count.

    Returns
    -------
    float
        1 if all drivers have higher scores than the others, 0.5 for random scores, 0 if they have lower ones.
    """
    table = pd.DataFrame({"stay": stays.stay_of_measurement, "driver": np.asarray(drivers, dtype=bool)})
    table["rank"] = pd.Series(score).groupby(table["stay"]).rank()
    positive = table[table["driver"]].groupby("stay")["rank"].agg(["sum", "count"])
    n_others = table.groupby("stay").size().reindex(positive.index) - positive["count"]
    wins = positive["sum"] - positive["count"] * (positive["count"] + 1) / 2
    return float((wins / (positive["count"] * n_others.where(n_others > 0))).mean())


def _check_scores(scores: Mapping[str, np.ndarray], stays: Sequences) -> None:
    for name, score in scores.items():
        if np.shape(score) != stays.value.shape:
            got = f"{name} as {describe(score)}"
            raise ArgumentError(f"one score for each of {len(stays.value)} measurements", got, "Score all of them.")


def _agreement(contribution: np.ndarray, model_b: Explainable, sequences: Sequences) -> float:
    """Rank correlation of the contributions with those of a second model."""
    prepared = prepare_stays(model_b, sequences)
    return rank_correlation(contribution, attribute_members(prepared).parts.sum(axis=0), prepared.stays)


@torch.no_grad()
def _attended(network: ClinicalGRU, stays: Sequences) -> np.ndarray:
    weight = np.empty(len(stays.value))
    for index in np.array_split(np.argsort(-stays.n_steps, kind="stable"), max(1, len(stays) // BATCH_SIZE)):
        part = stays[index]
        batch = network.make_batch(part)
        attention = network.logits(network.scaler(batch), batch)[1]
        row = torch.from_numpy(np.argsort(batch.order)[part.stay_of_measurement])
        step = (attention.hours[row] < torch.from_numpy(part.hours.astype(np.float32))[:, None]).sum(dim=1)
        weight[concat_ranges(stays.starts, index)[0]] = attention.weight[row, 0, step].numpy()
    return weight


def _random_order(prepared: PreparedStays, *, n_random: int, random_state: int) -> Perturbation:
    """Mean over random orders."""
    rng = np.random.default_rng(random_state)
    scores = [rng.random(len(prepared.stays.value)) for _ in range(n_random)]
    results = [perturbation_curves(prepared.networks, prepared.stays, scores=score) for score in scores]
    return Perturbation(**{name: np.mean([getattr(one, name) for one in results], axis=0) for name in COLUMNS})


def _random_weights(networks: Sequence[MemberNetwork], random_state: int) -> tuple[MemberNetwork, ...]:
    """The networks with their fitted scalers and random weights."""
    with seeded([random_state, 1]):
        untrained = [ClinicalGRU(member.network.spec) for member in networks]
    for network, member in zip(untrained, networks, strict=True):
        network.scaler.load_state_dict(member.network.scaler.state_dict())
    pairs = zip(untrained, networks, strict=True)
    return tuple(replace(member, network=network.eval()) for network, member in pairs)


def _table(results: Mapping[str, Perturbation], patient: np.ndarray, random_state: int) -> pd.DataFrame:
    deletion = np.stack([result.deletion for result in results.values()], axis=1)
    blocks = patient_resamples(patient, n_resamples=N_RESAMPLES, random_state=random_state)
    means = np.concatenate([weight @ deletion / weight.sum(axis=1)[:, None] for weight in blocks])
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    own = list(results).index(CONTRIBUTIONS)
    pairs = np.percentile(means - means[:, own : own + 1], [2.5, 97.5], axis=0)
    difference = deletion.mean(axis=0) - deletion[:, own].mean()
    columns = {name: [float(getattr(result, name).mean()) for result in results.values()] for name in COLUMNS}
    interval = {"deletion_low": low, "deletion_high": high, "difference": difference}
    interval |= {"difference_low": pairs[0], "difference_high": pairs[1]}
    win_rates = {f"win_rate_{name.split()[0]}": _win_rate(results, name) for name in (RANDOM, ATTENTION)}
    return pd.DataFrame({"method": list(results), **columns, **interval, **win_rates})


def _win_rate(results: Mapping[str, Perturbation], baseline: str) -> list[float]:
    """For each method, the fraction of stays on which its deletion lowers the log-odds more than a baseline's."""
    deletion = results[baseline].deletion
    return [
        float("nan") if name == baseline else float((result.deletion > deletion).mean())
        for name, result in results.items()
    ]
