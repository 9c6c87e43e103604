"""What runs in the worker processes of Spark: a model for each process, and the scores of a part of the patients."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from clinicalgru.serve.bundle import load_model
from clinicalgru.serve.score_input import score_input
from clinicalgru.serve.score_rows import schema_of
from clinicalgru.serve.shards import Shard, score_shard

PART = "clinicalgru_part"  # column with the number of a part
_MODELS: dict[str, Any] = {}  # of a worker process, by the hash of the bundle


@dataclass(frozen=True)
class PartScorer:
    """Scores the rows of one part of the patients.

    Attributes
    ----------
    bundle : object
        Files of the bundle by name, or a broadcast variable that holds them.
    hash : str
        Hash of the model.
    as_of : str or number
        Moment up to which the extract is seen.
    options : dict
        Options of `score_sequences`.
    reading : dict
        Arguments of `read_events`, without tables.
    accept_differences : bool
        As of `score`.
    constants : dict
        Columns that are the same in each row.
    columns : list of str
        Columns of the scores.
    """

    bundle: Any
    hash: str
    as_of: Any
    options: dict[str, Any]
    reading: dict[str, Any]
    accept_differences: bool
    constants: dict[str, Any]
    columns: list[str]

    def model(self) -> Any:
        """Give the model, which a process loads once.

        Returns
        -------
        estimator
            With one thread.
        """
        if self.hash not in _MODELS:
            import torch

            torch.set_num_threads(1)
            files = self.bundle if isinstance(self.bundle, dict) else self.bundle.value
            with tempfile.TemporaryDirectory() as folder:
                for name, content in files.items():
                    (Path(folder) / name).write_bytes(content)
                model: Any = load_model(folder)
            if hasattr(model, "n_threads"):
                model.n_threads = 1
            _MODELS.clear()
            _MODELS[self.hash] = model  # of another version of the package, it would have another hash here
        return _MODELS[self.hash]

    def score(self, measurements: pa.Table, stays: pa.Table | None) -> pa.Table:
        """Score the stays of a part.

        Parameters
        ----------
        measurements : pyarrow.Table
            Rows in the layout `long`.
        stays : pyarrow.Table or None
            Their stays.

        Returns
        -------
        pyarrow.Table
            As `score` gives it, but for the time of scoring.
        """
        measurements = _without_part(measurements)
        tables = {} if stays is None else {"stays": _without_part(stays)}
        reading = self.reading | tables | {"accept_differences": self.accept_differences}
        given = score_input(self.model(), measurements, as_of=self.as_of, **reading)
        options = self.options | {"as_of": given.as_of}
        constants = self.constants | {"model_hash": self.hash, "input_hash": given.digest()}
        rows = score_shard(given, Shard(0, 0, len(given.stays)), constants, options)
        return pa.Table.from_pandas(rows[self.columns], schema=schema_of(self.columns), preserve_index=False)


def with_stays(scorer: PartScorer) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Give the function that scores a part with a table of stays.

    Parameters
    ----------
    scorer : PartScorer
        What it needs.

    Returns
    -------
    callable
        From the tables of a part to its scores.
    """

    def score_part(measurements: pa.Table, stays: pa.Table) -> pa.Table:
        return scorer.score(measurements, stays)

    return score_part


def without_stays(scorer: PartScorer) -> Callable[[pa.Table], pa.Table]:
    """Give the function that scores a part without a table of stays.

    Parameters
    ----------
    scorer : PartScorer
        What it needs.

    Returns
    -------
    callable
        From the rows of a part to its scores.
    """

    def score_part(measurements: pa.Table) -> pa.Table:
        return scorer.score(measurements, None)

    return score_part


def _without_part(table: pa.Table) -> pa.Table:
    return table.drop_columns([PART])
