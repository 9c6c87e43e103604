"""Score stays with model.onnx: python run_onnx.py measurements.csv stays.csv > scores.csv (numpy and onnxruntime only).

measurements.csv: stay_id, hours (when the value became known, since the index time), variable, value, and, where it was
measured earlier, measured_hours. A coded event has its code as variable, and no value. stays.csv: stay_id, the static
covariates, and end_hours where the prediction is not at the end of the window. Names, units and ranges: contract.json.
"""

import csv
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

MERGE = {"mean": lambda v: sum(v) / len(v), "sum": sum, "min": min, "max": max, "last": lambda v: v[-1]}


def _allowed(text, one):
    if names := one["categories"]:
        return names.index(text) if (text := (text or "").removesuffix(".0")) in names else np.nan
    (low, high), number = one["plausible"] or (-np.inf, np.inf), float(text or "nan")
    return number if low <= number <= high else np.nan


def _scores(measurements, stays, folder=Path(__file__).parent, batch=256):
    import onnxruntime

    contract, graph = json.loads((folder / "contract.json").read_bytes()), (folder / "model.onnx").read_bytes()
    stated = [contract["sha256"].pop("contract.json", ""), contract["sha256"].get("model.onnx")]
    if stated != [hashlib.sha256(one).hexdigest() for one in (json.dumps(contract, sort_keys=True).encode(), graph)]:
        sys.exit("model.onnx or contract.json was changed after the export, and the risks would be wrong: export again")
    variables, codes, limits = contract["variables"], contract["code_vocabulary"], contract["limits"]
    number = {name: i for i, name in enumerate([one["name"] for one in variables] + codes)}
    (first, last), ids = contract["task"]["window_hours"], {row["stay_id"]: i for i, row in enumerate(stays)}
    end = np.array([float(row.get("end_hours") or last) for row in stays]).clip(first, last)
    static = [[_allowed(row.get(one["name"]), one) for one in contract["static_variables"]] for row in stays]
    facts, left_out, merge = {}, len(measurements), [MERGE[one["merge"]] for one in variables] + [max] * len(codes)
    for row in measurements:
        stay, variable, hours = ids.get(row["stay_id"]), number.get(row["variable"], -1), float(row["hours"])
        value = _allowed(row["value"], variables[variable]) if 0 <= variable < len(variables) else 0.0
        if stay is not None and variable >= 0 and not np.isnan(value) and first <= hours <= end[stay]:
            left_out -= 1
            values = facts.setdefault((stay, hours, float(row.get("measured_hours") or hours), variable), {})
            values[value] = values.pop(value, None)  # exact repeats count once
    print(f"{left_out} rows left out: unknown stay or variable, out of range or window", file=sys.stderr)
    rows = [(*key, merge[key[3]](list(values))) for key, values in sorted(facts.items(), key=lambda fact: fact[0])]
    stay, hours, measured, variable, value = np.array(rows, dtype=float).reshape(-1, 5).T
    row = np.cumsum((np.diff(stay, prepend=-1) != 0) | (np.diff(hours, prepend=-1) != 0))
    step, is_code = row - row[np.searchsorted(stay, stay)], variable >= len(variables)
    count = np.array([np.bincount(np.int64(stay[variable == i]), minlength=len(ids)) for i in range(len(variables))]).T
    amount = count.sum(1) / (np.maximum(end - first, 1) if contract["task"]["task_type"] == "early_warning" else 1)
    few = (amount < (limits.get("measurements") or 0)) | ((count > 0).sum(1) < (limits.get("variables") or 0))
    session, scores, nothing = onnxruntime.InferenceSession(graph), [], np.full(len(contract["score_columns"]), np.nan)
    for i in range(0, len(stays), batch):
        m, c = (np.flatnonzero((stay >= i) & (stay < i + batch) & (is_code == which)) for which in (False, True))
        given = {"value": value[m], "variable": variable[m], "stay": stay[m] - i, "step": step[m], "hours": hours[m],
                 "availability_lag": (hours - measured)[m], "end_hours": end[i : i + batch], "code_hours": hours[c],
                 "static": np.reshape(static[i : i + batch], (-1, len(contract["static_variables"]))),
                 "code": variable[c] - len(variables), "code_stay": stay[c] - i, "code_step": step[c]}  # fmt: skip
        given = {one["name"]: np.asarray(given[one["name"]]).astype(one["dtype"]) for one in contract["inputs"]}
        scores.append(session.run(["scores"], given)[0] if len(m) + len(c) else given["end_hours"][:, None] * nothing)
    status = np.where(np.isin(np.arange(len(stays)), stay), np.where(few, "too little known", "scored"), "not scored")
    scores = np.where(status == "scored", np.concatenate(scores).T, np.nan)
    sets, at, special = {}, (status == "scored") & (end == last), {"": "none", "event or no event": "either"}
    for column, members in contract["prediction_sets"].items():
        held = [np.where((m["low"] <= (s := scores[m["score"]])) & (s <= m["high"]), m["outcome"], "") for m in members]
        words = [" or ".join(filter(None, row)) for row in zip([""] * len(stays), *held, strict=True)]
        sets[column] = np.where(at & bool(members), [special.get(text, text) for text in words], "")
    header = ["stay_id", *contract["score_columns"], *sets, "status"]
    return [header, *zip(ids, *scores, *sets.values(), status, strict=True)]


if __name__ == "__main__":
    tables = [list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines())) for path in sys.argv[1:3]]
    csv.writer(sys.stdout).writerows(_scores(*tables))
