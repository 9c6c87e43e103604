"""Are the explanations true to the model? Measured by taking away what they name, and against what they must not be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from clinicalgru.data.sequences.layout import concat_ranges
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.disclosure import MIN_CELL_SIZE, WITHHELD, format_count, is_small, suppress_nested
from clinicalgru.errors import ArgumentError
from clinicalgru.evaluate.bootstrap import numbered_patients, patient_resamples
from clinicalgru.explain.attribution.explain import contributed, contributions
from clinicalgru.explain.faithfulness.perturbation import Removal, removal
from clinicalgru.explain.voices import Explained, Voice, checked, first, voices
from clinicalgru.html import summary_html, table
from clinicalgru.model.network.network import ClinicalGRU
from clinicalgru.model.training.torch_settings import seeded, threads

OURS, ATTENTION, RANDOM = "contributions", "attention", "random order"
COLUMNS = {"deletion": "↑", "insertion": "↑", "comprehensiveness": "↑", "sufficiency": "↓"}  # which way is better
TAKEN_AWAY = "Measurements taken away in the order of each method; ↑ higher is better, ↓ lower is better"


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How true the explanations are to the model, and how they compare to other ways of ranking measurements.

    table           one row per method: method, deletion and insertion (log-odds) with deletion_low and deletion_high
                    (95 %, by patient), comprehensiveness, sufficiency (risk), win_rate_random (share of stays on which
                    deleting in its order moves the risk farther than in random orders), win_rate_attention
    n_stays, n_patients  None where the count is small
    max_completeness_error     largest completeness gap of any stay, in log-odds
    random_weights_correlation  rank correlation of contributions with those of the same network with random weights
    seed_stability  rank correlation with those of a model trained with another seed; None where none was given
    driver_auroc    how well contributions tell planted drivers from other measurements (AUROC); None where not given
    simulated       whether the stays are: only then are small counts shown
    """

    table: pd.DataFrame
    n_stays: int | None
    n_patients: int | None
    max_completeness_error: float
    random_weights_correlation: float
    seed_stability: float | None = None
    driver_auroc: float | None = None
    simulated: bool = False

    def summary(self) -> dict[str, str]:
        """What there is to say besides the table, in words."""
        said_of = {
            "stays": f"{format_count(self.n_stays)} of {format_count(self.n_patients)} patients",
            "largest completeness gap": f"{self.max_completeness_error:.5f} log-odds",
            "rank correlation with random weights": f"{self.random_weights_correlation:+.3f}",
        }
        if self.seed_stability is not None:
            said_of["rank correlation with another seed"] = f"{self.seed_stability:+.3f}"
        if self.driver_auroc is not None:
            said_of["planted drivers, AUROC"] = f"{self.driver_auroc:.3f}"
        return said_of

    def table_rows(self, *, min_cell_size: int | None = None) -> list[list[str]]:
        """The table as text, one row per method.

        min_cell_size  a share is told as a bound where it, or what it leaves, is of fewer stays; None: as small cells are
        """
        least = min_cell_size if min_cell_size is not None else 0 if self.simulated else MIN_CELL_SIZE
        return [
            [
                str(row["method"]),
                f"{row['deletion']:+.3f} ({row['deletion_low']:+.3f} to {row['deletion_high']:+.3f})",
                *(f"{row[name]:+.3f}" for name in ("insertion", "comprehensiveness", "sufficiency")),
                *(_share(row[name], self.n_stays, least) for name in ("win_rate_random", "win_rate_attention")),
            ]
            for row in self.table.to_dict("records")
        ]

    def column_names(self) -> list[str]:
        """A name for each column of `rows`."""
        return [
            "Order",
            *(f"{name.capitalize()} {best}" for name, best in COLUMNS.items()),
            "Beats random",
            "Beats attention",
        ]

    def __str__(self) -> str:
        lines = [f"{name}: {fact}" for name, fact in self.summary().items()]
        names = ["", "deletion (95 %)", "insertion", "compreh.", "suffic.", "beats random", "beats attention"]
        widths = [34, 26, 11, 10, 9, 14, 17]
        for name, *others in [names, *self.table_rows()]:
            lines.append(name.ljust(widths[0]) + "".join(map(str.rjust, others, widths[1:])))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return summary_html("Faithfulness", self.summary(), table(TAKEN_AWAY, self.column_names(), self.table_rows()))


def faithfulness(
    model: Explained,
    sequences: Sequences,
    *,
    model_b: Explained | None = None,
    drivers: np.ndarray | None = None,
    rankings: Mapping[str, np.ndarray] | None = None,
    n_random: int = 5,
    random_state: int = 0,
) -> Faithfulness:
    """Delete and insert measurements in the order of their contributions, of attention, and at random.

    sequences  (stay,) each with measurements, of the model's variables; a few hundred are enough
    model_b    the model trained with another seed: do both explain alike?
    drivers    (fact,) True for the measurements that decide the outcome, where that is known (simulated): does the size
               of contributions tell them from the others of the same stay?
    rankings   further scores (fact,) by name, the highest first
    n_random    random orders, averaged
    returns    a `Faithfulness`

    Orders go from what raised the risk most to what lowered it most; attention, which has no sign, from what was looked
    at most. Refused: scores or drivers that do not fit, other variables than the model's, a stay without measurements.

    Source: Petsiuk et al. 2018; DeYoung et al. 2020; Adebayo et al. 2018 (random weights).

    >>> found = cg.faithfulness(model, test[:6], n_random=1)
    >>> found.table["method"].tolist(), found.max_completeness_error <= 1e-3
    (['contributions', 'attention', 'random order'], True)
    """
    stays, orders, asking = checked(model, sequences), dict(rankings or {}), voices(model)
    _check_scores(orders | ({} if drivers is None else {"drivers": drivers}), stays)
    with threads(first(model).n_threads):
        found = contributed(asking, stays)
        ours = found.parts.sum(axis=0)
        results = _removed(asking, stays, {OURS: ours, ATTENTION: attended(asking, stays), **orders})
        results[RANDOM] = _at_random(asking, stays, n_random=n_random, random_state=random_state)
        untrained = contributed(_random_weights(asking, random_state), stays).parts.sum(axis=0)
        other = None if model_b is None else contributions(model_b, sequences).parts.sum(axis=0)
    patient = numbered_patients(stays.patient, len(stays))
    counts = suppress_nested(
        [len(stays), int(patient.max()) + 1], min_cell_size=0 if stays.simulated else MIN_CELL_SIZE
    )
    return Faithfulness(
        table=_table(results, patient, random_state),
        n_stays=counts[0],
        n_patients=counts[1],
        max_completeness_error=float(np.abs(found.gap).max()),
        random_weights_correlation=rank_correlation(ours, untrained, stays),
        seed_stability=None if other is None else rank_correlation(ours, other, stays),
        driver_auroc=None if drivers is None else driver_auroc(np.abs(ours), drivers, stays),
        simulated=stays.simulated,
    )


def _check_scores(scores: Mapping[str, np.ndarray], stays: Sequences) -> None:
    for name, one in scores.items():
        if np.shape(one) != stays.value.shape:
            got = f"{name} of shape {np.shape(one)}"
            raise ArgumentError(f"one score for each of {len(stays.value)} measurements", got, "Score them all.")


def attended(asking: tuple[Voice, ...], stays: Sequences) -> np.ndarray:
    """(fact,) how much the end of its stay attends to the step of each measurement."""
    return np.asarray(np.mean([_attended(voice.network, stays) for voice in asking], axis=0))


@torch.no_grad()
def _attended(network: ClinicalGRU, stays: Sequences) -> np.ndarray:
    found = np.empty(len(stays.value))
    for index in np.array_split(np.argsort(-stays.n_steps, kind="stable"), max(1, len(stays) // 64)):
        part = stays[index]
        batch = network.batch(part)
        looked = network.logits(network.scales(batch), batch)[1]
        row = torch.from_numpy(np.argsort(batch.order)[part.stay_of_measurement])
        step = (looked.hours[row] < torch.from_numpy(part.hours.astype(np.float32))[:, None]).sum(dim=1)
        found[concat_ranges(stays.starts, index)[0]] = looked.weight[row, 0, step].numpy()
    return found


def rank_correlation(a: np.ndarray, b: np.ndarray, stays: Sequences) -> float:
    """Mean over the stays of Spearman's correlation of two scores of their measurements (two at least)."""
    both = pd.DataFrame({"stay": stays.stay_of_measurement, "a": a, "b": b})
    ranked = both.groupby("stay")[["a", "b"]].rank()
    ranked -= ranked.groupby(both["stay"]).transform("mean")
    products = pd.DataFrame({"ab": ranked["a"] * ranked["b"], "aa": ranked["a"] ** 2, "bb": ranked["b"] ** 2})
    ab, aa, bb = products.groupby(both["stay"]).sum().to_numpy().T
    some = aa * bb > 0
    return float((ab[some] / np.sqrt(aa * bb)[some]).mean()) if some.any() else float("nan")


def driver_auroc(score: np.ndarray, drivers: np.ndarray, stays: Sequences) -> float:
    """Mean over the stays that have both of the AUROC with which the score tells drivers from other measurements."""
    frame = pd.DataFrame({"stay": stays.stay_of_measurement, "driver": np.asarray(drivers, dtype=bool)})
    frame["rank"] = pd.Series(score).groupby(frame["stay"]).rank()
    positive = frame[frame["driver"]].groupby("stay")["rank"].agg(["sum", "count"])
    others = frame.groupby("stay").size().reindex(positive.index) - positive["count"]
    won = positive["sum"] - positive["count"] * (positive["count"] + 1) / 2
    return float((won / (positive["count"] * others.where(others > 0))).mean())


def _share(share: float, stays: int | None, min_cell_size: int) -> str:
    """A share of stays; a bound in whole percent where it could be counted out to a few of them.

    >>> _share(0.99, 400, 11), _share(0.99, 400, 0), _share(0.8, None, 11)
    ('over 97%', '99.0%', 'withheld')
    """
    if pd.isna(share):
        return ""
    if stays is None:
        return WITHHELD if min_cell_size else f"{share:.1%}"
    few = (min_cell_size - 1) / stays
    if is_small(round(share * stays), min_cell_size):
        return f"under {math.ceil(100 * few) + 1}%"
    return (
        f"over {math.floor(100 * (1 - few))}%"
        if is_small(round((1 - share) * stays), min_cell_size)
        else f"{share:.1%}"
    )


def _removed(asking: tuple[Voice, ...], stays: Sequences, orders: Mapping[str, np.ndarray]) -> dict[str, Removal]:
    return {name: removal(asking, stays, scores=scores) for name, scores in orders.items()}


def _at_random(asking: tuple[Voice, ...], stays: Sequences, *, n_random: int, random_state: int) -> Removal:
    chance = np.random.default_rng(random_state)
    orders = {str(number): chance.random(len(stays.value)) for number in range(n_random)}
    each = _removed(asking, stays, orders).values()
    return Removal(**{name: np.mean([getattr(one, name) for one in each], axis=0) for name in COLUMNS})


def _random_weights(asking: tuple[Voice, ...], random_state: int) -> tuple[Voice, ...]:
    """The voices with their learned scales and random weights."""
    with seeded([random_state, 1]):
        networks = [ClinicalGRU(voice.network.spec) for voice in asking]
    for network, voice in zip(networks, asking, strict=True):
        network.scales.load_state_dict(voice.network.scales.state_dict())
    return tuple(Voice(network.eval(), voice.asked) for network, voice in zip(networks, asking, strict=True))


def _table(results: Mapping[str, Removal], patient: np.ndarray, random_state: int) -> pd.DataFrame:
    deletion = np.stack([one.deletion for one in results.values()], axis=1)
    blocks = patient_resamples(patient, n_resamples=500, random_state=random_state)
    drawn = np.concatenate([weight @ deletion / weight.sum(axis=1)[:, None] for weight in blocks])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    means = {name: [float(getattr(one, name).mean()) for one in results.values()] for name in COLUMNS}
    win_rates = {f"win_rate_{name.split()[0]}": _win_rate(results, name) for name in (RANDOM, ATTENTION)}
    return pd.DataFrame({"method": list(results), **means, "deletion_low": low, "deletion_high": high, **win_rates})


def _win_rate(results: Mapping[str, Removal], baseline: str) -> list[float]:
    """Of each method, the share of stays on which deletion in its order moves the risk farther than the baseline's."""
    return [
        float("nan") if name == baseline else float((one.deletion > results[baseline].deletion).mean())
        for name, one in results.items()
    ]
