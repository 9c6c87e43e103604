"""The baseline of an early warning: boosted trees on the summaries of what was known after each step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.logistic import logit, sigmoid
from clinicalgru.model.features.clinical_indices import indices_of
from clinicalgru.model.heads.early_warning import EarlyWarning
from clinicalgru.model.network.batch import Batch, collate

TOGETHER = 1000  # stays that are summarised at once: after each step, there is much of them
RECENT = (6.0, 12.0)  # hours: what was measured so lately is summarised apart
SAME_HOUR = 1e-6  # hours so near are one: what was measured just so many hours ago is no longer recent
STEPS = 8  # of each stay, on average, that trees learn from: neighbours say nearly the same, at a multiple of the time


class EarlyWarningTrees:
    """A classifier of steps on what was observed of the stay up to each, by variable, with descriptors and the hour.

    random_state  of the trees' sampling

    >>> EarlyWarningTrees(random_state=3).random_state
    3
    """

    def __init__(self, *, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, stays: Sequences) -> Self:
        """Learn from the steps that count, of stays with an early-warning task."""
        head = EarlyWarning.fit_targets(stays)
        weights = head.step_weights(stays)
        count = min(STEPS * len(stays), int((~np.isnan(weights)).sum()))
        drawn = drawn_by_weight(np.abs(np.nan_to_num(weights)), count, np.random.default_rng(self.random_state))
        kept, first = [], 0
        for table in tables_by_step(stays):
            inside = drawn[slice(*np.searchsorted(drawn, [first, first + len(table)]))]
            kept.append(table[inside - first])
            first += len(table)
        table = np.concatenate(kept)
        self.known_ = ~np.isnan(table).all(axis=0)  # scikit-learn's trees fail on a column that is never known
        self.lift_ = head.log_odds_offset
        self.classifier_ = self.classifier().fit(table[:, self.known_], (weights[drawn] > 0).astype(int))
        return self

    def classifier(self) -> Any:
        """Small trees: on 1,500 and 4,000 training stays of PhysioNet 2019, judged on others of the training set, 150
        of 15 leaves told steps apart better (AUROC .802 and .824) than 300 of 31 (.790 and .805), in a third of the
        time. Another kind of trees may stand in its place."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=150,
            max_leaf_nodes=15,
            min_samples_leaf=100,
            l2_regularization=5.0,
            max_features=0.1,
            early_stopping=False,
            random_state=self.random_state,
        )

    def predict_proba(self, stays: Sequences) -> np.ndarray:
        """(step, 2) probability of no and of an onset ahead, after each step of each stay, stay after stay.

        Of a task with a utility they are set back by what weighing the steps had lifted them, as those of the network.
        """
        tables = tables_by_step(stays)
        risk = np.concatenate([self.classifier_.predict_proba(table[:, self.known_])[:, 1] for table in tables])
        risk = sigmoid(logit(risk) - self.lift_)
        return np.stack([1 - risk, risk], axis=1)


def drawn_by_weight(weight: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    """(count,) positions in ascending order: each is drawn as often as it weighs, rounded up or down by chance.

    Systematic resampling (Madow 1949). Trees with drawn steps need no weights, with which scikit-learn 1.9 takes
    several times as long: on 11,388 stays of PhysioNet 2019, 8 steps of each drawn took 49 s of processor, 16 weighed
    200 to 220 s, and told the steps of other stays apart alike (AUROC .832, AUPRC .156 and .160).

    >>> drawn_by_weight(np.array([1.0, 0.0, 3.0]), 4, np.random.default_rng(0))
    array([0, 2, 2, 2])
    """
    total = np.cumsum(weight)
    at = (np.arange(count) + chance.random()) * (total[-1] / count)
    return np.minimum(np.searchsorted(total, at, side="right"), np.flatnonzero(weight)[-1])


def tables_by_step(stays: Sequences) -> Iterator[np.ndarray]:
    """(step, feature) summaries and indices up to each step, what was recent, descriptors, hour; NaN = not known.

    Stay after stay, a table for each TOGETHER of them."""
    indices = indices_of(stays)
    for first in range(0, len(stays), TOGETHER):
        part = stays[np.arange(first, min(first + TOGETHER, len(stays)))]
        batch = collate(part, every_step=True, indices=indices)
        stay = batch.order[batch.point_stay.numpy()]
        place = (np.cumsum(part.n_steps) - part.n_steps)[stay] + batch.point_number.numpy()
        hours = batch.point_hours.numpy()[:, None]
        lately = [recent_at(part[batch.order], batch, hours=back) for back in RECENT]
        columns = np.concatenate([batch.summaries.numpy(), *lately, part.static[stay], hours], axis=1)
        table = np.empty(columns.shape, dtype=np.float32)
        table[place] = columns
        yield table


def recent_at(stays: Sequences, batch: Batch, *, hours: float) -> np.ndarray:
    """(row, 2 x variable) how often each variable became known in the last so many hours, and the mean; NaN = never.

    stays  in the order of the batch, which has no coded events
    """
    row_hours, row_stay, carried = batch.point_hours.numpy(), batch.stay.numpy(), batch.carried.numpy()
    order = np.lexsort((row_hours, row_stay))
    span = float(np.ptp(row_hours)) + hours + 1.0
    clock = row_stay * span + row_hours - row_hours.min(initial=0.0)
    ends = clock - hours + SAME_HOUR
    earlier = np.searchsorted(clock[order], ends, side="right") - 1  # the last row that is not recent
    known = (earlier >= 0) & (row_stay[order][earlier] == row_stay)
    before = np.where(known[:, None], carried[order][earlier], len(stays.value))
    by_cell = pd.DataFrame({"value": stays.value.astype(np.float64)}).groupby(
        stays.stay_of_measurement * len(stays.variables) + stays.variable, sort=False
    )
    so_far = np.append(by_cell.cumcount().to_numpy() + 1, 0)
    total = np.append(by_cell["value"].cumsum().to_numpy(), 0.0)
    count = so_far[carried] - so_far[before]
    mean = (total[carried] - total[before]) / np.where(count > 0, count, np.nan)
    return np.concatenate([count, mean], axis=1, dtype=np.float32)
