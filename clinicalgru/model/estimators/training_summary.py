"""From which data a model was trained, in counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.outcome_kinds import occurred
from clinicalgru.disclosure import MIN_CELL_SIZE, suppress_nested


def fingerprint(stays: Sequences) -> dict[str, Any]:
    """From which data a model was trained, in counts only; a small one of real patients is None: it is written.

    outcomes is None too where the task does not ask whether something comes.
    """
    min_cell_size = 0 if stays.simulated else MIN_CELL_SIZE
    patients = suppress_nested([len(stays), len(np.unique(stays.patient.astype(str)))], min_cell_size=min_cell_size)[1]
    came = occurred(stays.outcome, stays.task)
    count, outcomes = suppress_nested(
        [len(stays), int(came.sum()) if came is not None else 0], min_cell_size=min_cell_size
    )
    return {
        "source": stays.source,
        "simulated": stays.simulated,
        "stays": count,
        "patients": patients,
        "outcomes": outcomes if came is not None else None,
        "measurements": len(stays.value),
    }
