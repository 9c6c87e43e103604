"""A model of one hospital validated at another: the demo cohorts of YAIB from eICU and MIMIC, in both directions.

    python benchmarks/other_hospital.py yaib-demo [--pages FOLDER]

Death in hospital, from the first 24 hours. The model is `GRUClassifier` with default settings, trained on three
quarters of the stays of one and validated on all stays of the other, with recalibration. The extracts name no patients:
each stay counts as one of another patient.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd

import clinicalgru as cg
from clinicalgru.data.events import Events

TASK = cg.Task("mortality24", "label", (0.0, 24.0))
PLACES = {"eICU": "eicu_demo", "MIMIC": "mimic_demo"}
SHOWN = ("auroc", "observed_expected", "calibration_slope", "brier")


def read(folder: Path) -> Events:
    """The extract of one hospital."""
    outcomes = pd.read_parquet(folder / "outc.parquet").groupby("stay_id")["label"].max().astype(float).reset_index()
    return cg.read_events(
        folder / "dyn.parquet",
        source="yaib",
        stays=folder / "sta.parquet",
        outcomes=outcomes,
        columns={"patient_id": "stay_id"},
    )


def main() -> None:
    """Print the figures of both directions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("yaib", type=Path)
    parser.add_argument("--pages", type=Path)
    options = parser.parse_args()
    events = {place: read(options.yaib / "mortality24" / name) for place, name in PLACES.items()}
    for here, there in (("eICU", "MIMIC"), ("MIMIC", "eICU")):
        train, _ = cg.split_patients(cg.select(events[here], TASK), [0.75, 0.25], random_state=0)
        model = cg.GRUClassifier(random_state=0).fit(train, verbose=False)
        with tempfile.TemporaryDirectory() as folder:
            result = cg.validate(model, events[there], recalibrate_to=Path(folder) / "new")
        evaluation = result.evaluation
        print(f"{here}, {train.outcome.sum():.0f} events of {len(train)}; {there}, {evaluation.events} of ", end="")
        print(f"{evaluation.stays} stays; {result.status}: {result.verdict}")
        print(evaluation.metrics.set_index("metric").loc[list(SHOWN)].round(3).to_string())
        print("\n".join(result.recalibration_sentences))
        print("" if result.recalibration is None else result.recalibration.table.round(3).to_string(), flush=True)
        if options.pages:
            result.to_html(options.pages / f"{here}_{there}.html".lower())


if __name__ == "__main__":
    main()
