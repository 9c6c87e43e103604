"""ONNX export on PhysioNet 2012: difference from torch, loss and size of 8 bits, stays per second.

python benchmarks/export.py DATA [--stays 4000] [--epochs 10]; DATA holds set-a, set-b and their Outcomes files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import clinicalgru as cg
from clinicalgru.parts import physionet2012_parts
from clinicalgru.serve.onnx.export import differences, graph_of, run_graph, session_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts = physionet2012_parts(given.data, print)
    model = cg.GRUClassifier(random_state=0, max_epochs=given.epochs).fit(parts.development, verbose=False)
    session = session_of(graph_of(model))
    print("calibrator", type(model.calibrator_).__name__)
    for batch in (1, 7, 256):
        stays = parts.test if batch == 256 else parts.test[:200]
        print(f"batch {batch}: largest difference {differences(model, session, stays, batch=batch).max():.2e}")
    cut = parts.test.truncate_at(12.0)
    cut = cut[model.has_observations(cut)]
    print(f"at hour 12: largest difference {differences(model, session, cut).max():.2e}")
    for name, run in (("torch", model.score_rows), ("onnxruntime", lambda stays: run_graph(model, session, stays))):
        began = time.process_time()
        run(parts.test)
        print(f"{name}: {len(parts.test) / (time.process_time() - began):.0f} stays per second of processor")
    own = model.score_rows(parts.test)[:, 0]
    low = run_graph(model, session_of(graph_of(model, int8=True)), parts.test)[:, 0]
    from sklearn.metrics import brier_score_loss, roc_auc_score

    figures = {"largest": np.abs(own - low).max(), "mean": np.abs(own - low).mean()}
    for name, risk in (("float32", own), ("int8", low)):
        figures[f"auroc {name}"] = roc_auc_score(parts.test.outcome, risk)
        figures[f"brier {name}"] = brier_score_loss(parts.test.outcome, risk)
    print(json.dumps({name: round(float(value), 5) for name, value in figures.items()}, indent=1))
    with tempfile.TemporaryDirectory() as folder:
        path = cg.export_onnx(model, Path(folder) / "onnx")
        print("bytes float32", (path / "model.onnx").stat().st_size, "int8", len(graph_of(model, int8=True)))


if __name__ == "__main__":
    main()
