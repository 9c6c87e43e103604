"""How many groups of similar risk a calibration figure has."""

from __future__ import annotations

import numpy as np
import pytest

from clinicalgru.evaluate.calibration_groups import label_groups, number_groups, survival_groups
from clinicalgru.evaluate.curves import curves

CHANCE = np.random.default_rng(0)


@pytest.mark.parametrize("n_stays", [49, 130, 3000])
def test_no_group_has_fewer_than_twenty_stays_even_where_nothing_is_suppressed(n_stays):
    risk = CHANCE.random(n_stays)
    event = (CHANCE.random(n_stays) < risk).astype(float)
    hours = np.column_stack([np.where(event, 5.0, 50.0), event])
    patients = np.arange(n_stays) // 2
    tables = [
        curves(event, risk, patients=patients).calibration,
        label_groups(event, risk, min_cell_size=0, patients=patients),
        number_groups(risk, risk, min_cell_size=0),
        survival_groups(hours, risk, hours=10.0, min_cell_size=0),
    ]
    for table in tables:
        assert 1 < len(table) <= 10
        assert table["stays"].min() >= 20
        assert table["stays"].sum() == n_stays
