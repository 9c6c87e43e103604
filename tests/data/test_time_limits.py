"""How far from the start of a stay a time may be."""

from __future__ import annotations

import pandas as pd
import pytest

import clinicalgru as cg


@pytest.mark.parametrize(("years", "used"), [(100, 4), (149.9, 4), (150, 3), (151, 3)])
def test_a_stay_of_100_years_is_read_and_hours_of_150_years_and_more_are_no_hours(years, used):
    columns = {"patient_id": ["1"] * 4, "stay_id": ["1"] * 4, "variable": ["heart_rate"] * 4, "value": [80, 81, 82, 83]}
    events = cg.read_events(pd.DataFrame({"time": [0.0, 1.0, 2.0, years * 8766]} | columns), max_rejected=0.5)
    assert len(events) == used
    assert events.ledger.rejected == ({} if used == 4 else {"time not readable": 1})
