"""From which data a model was trained, in counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.data.task.outcome_kinds import happened
from clinicalgru.disclosure import SMALLEST_CELL, nested


def fingerprint(stays: Sequences) -> dict[str, Any]:
    """From which data a model was trained, in counts only; a small one of real patients is None: it is written.

    outcomes is None too where the task does not ask whether something comes.
    """
    smallest = 0 if stays.simulated else SMALLEST_CELL
    patients = nested([len(stays), len(np.unique(stays.patient.astype(str)))], smallest=smallest)[1]
    came = happened(stays.outcome, stays.task)
    count, outcomes = nested([len(stays), int(came.sum()) if came is not None else 0], smallest=smallest)
    return {
        "source": stays.source,
        "simulated": stays.simulated,
        "stays": count,
        "patients": patients,
        "outcomes": outcomes if came is not None else None,
        "measurements": len(stays.value),
    }
