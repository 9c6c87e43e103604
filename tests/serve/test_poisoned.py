"""Poisoned bundles: each is refused at once, nothing in it is run, and nothing large is built."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save

import clinicalgru as cg
from clinicalgru.errors import BundleError
from clinicalgru.serve.integrity import CARD, MANIFEST, WEIGHTS, read_bundle, seal
from clinicalgru.serve.manifest import Manifest

GOLDEN = Path(__file__).parent / "golden"
SECONDS, MEGABYTES = 1.0, 120
EXECUTED = "CLINICALGRU_TEST_EXECUTED"


class Malicious:
    """What it does when it is unpickled would be seen in the environment."""

    def __reduce__(self):
        return os.putenv, (EXECUTED, "1")


def zipped_pickle() -> bytes:
    file = io.BytesIO()
    torch.save({"weights": Malicious()}, file)
    return file.getvalue()


def header(content: object, data: bytes = b"") -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return len(text).to_bytes(8, "little") + text + data


def one(dtype="F32", shape=(1,), offsets=(0, 4)) -> dict:
    return {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


# Files as an attacker writes them, with all digests computed anew
WEIGHT_FILES = {
    "a pickle": pickle.dumps(Malicious()),
    "a zip of torch": zipped_pickle(),
    "numpy with pickle": b"\x93NUMPY\x01\x00" + pickle.dumps(Malicious()),
    "nothing": b"",
    "a length alone": b"\xff" * 8,
    "a length beyond the file": (10**6).to_bytes(8, "little") + b"{}",
    "a header that is no JSON": header(b"{]"),
    "a header that is a list": header([]),
    "a deep header": header(b'{"a":' + b"[" * 50_000),
    "a huge shape": header(one(shape=(2**40, 2**20)), b"\0" * 4),
    "a shape that overflows": header(one(shape=(2**63 - 1, 2**63 - 1)), b"\0" * 4),
    "a negative shape": header(one(shape=(-1,)), b"\0" * 4),
    "offsets outside": header(one(offsets=(0, 4_000_000_000)), b"\0" * 4),
    "offsets backwards": header(one(offsets=(4, 0)), b"\0" * 4),
    "a gap between arrays": header(one(offsets=(4, 8)), b"\0" * 8),
    "arrays that overlap": header(one() | {"other": one()["x"]}, b"\0" * 4),
    "arrays that overlap in part": header(
        one(shape=(2,), offsets=(0, 8)) | {"other": one(offsets=(4, 8))["x"]}, b"\0" * 8
    ),
    "fewer bytes than the shape": header(one(shape=(2**20,)), b"\0" * 4),
    "an unknown dtype": header(one(dtype="PICKLE"), b"\0" * 4),
    "a dtype of no numpy": header(one(dtype="BF16", shape=(2,)), b"\0" * 4),
    "rows after the arrays": header(one(), b"\0" * 400),
    "metadata that is a list": header({"__metadata__": []} | one(), b"\0" * 4),
    "no array": save({}),
}


def array(name: str, change):
    """Arrays of which one is changed."""

    def changed(arrays):
        chosen = next(key for key in arrays if name in key)
        return arrays | {chosen: np.ascontiguousarray(change(arrays[chosen]))}

    return changed


ARRAYS = {
    "NaN weights": array("readout", lambda a: np.full_like(a, np.nan)),
    "one NaN": array("raw", lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, np.nan, a).astype(a.dtype)),
    "infinite weights": array("readout", lambda a: np.full_like(a, np.inf)),
    "NaN knots": array("knots", lambda a: np.full_like(a, np.nan)),
    "float64 weights": array("readout", lambda a: a.astype(np.float64)),
    "float16 weights": array("readout", lambda a: a.astype(np.float16)),
    "int64 weights": array("readout", lambda a: a.astype(np.int64)),
    "weights of another shape": array("readout", lambda a: np.concatenate([a, a])),
    "weights of no axes": array("readout", lambda a: a.ravel()[0]),
    "transposed weights": array("raw", lambda a: np.zeros((*a.shape, 1), a.dtype)),
    "an array too many": lambda arrays: arrays | {"readout.pickle": np.zeros(3, np.float32)},
    "an array too few": lambda arrays: dict(list(arrays.items())[1:]),
    "no weights": lambda arrays: {"x": np.zeros(1, np.float32)},
    "another salt": array("salt", lambda a: a.astype(np.float64)),
    "hashes of another shape": array("hashes", lambda a: a.reshape(-1, 1)),
    "large arrays": lambda arrays: arrays | {"x": np.zeros((1000, 1000), np.float32)},
}


def spec(**change):
    return lambda m: m | {"network_spec": m["network_spec"] | change}


MANIFESTS = {
    "1e6 layers": spec(n_layers=1_000_000),
    "layers 1e6": spec(n_layers=1e6),
    "hidden size 1e9": spec(hidden_size=10**9),
    "hidden size 30,000": spec(hidden_size=30_000),
    "hidden size 1e400": spec(hidden_size=10**400),
    "a negative hidden size": spec(hidden_size=-8),
    "readout of 1e8": spec(readout_size=10**8),
    "an ensemble of 1e9": spec(ensemble_size=10**9),
    "1e5 convolutions": spec(convolution=[2] * 100_000),
    "a stride of 0": spec(convolution=[0]),
    "1e6 variables": lambda m: m | {"variables": m["variables"] * 20_000},
    "no variables": lambda m: m | {"variables": []},
    "a class by its path": lambda m: m | {"model": "os.system"},
    "another class": lambda m: m | {"model": "GRUSurvival"},
    "arguments with code": lambda m: m | {"arguments": m["arguments"] | {"callbacks": "__import__('os')"}},
    "an argument too many": lambda m: m | {"arguments": m["arguments"] | {"__class__": "x"}},
    "extra state that is a method": lambda m: m | {"extra_state": {"__class__": 1.0}},
    "an ensemble of 1e9 members": lambda m: m | {"ensemble": {"n_members": 10**9}},
    "a hybrid of unknown methods": lambda m: m | {"hybrid": ["pickle"]},
    "a head without its numbers": lambda m: m | {"head": {"classes": "x" * 1000}},
    "a calibrator of nothing": lambda m: m | {"calibrator": {"slope": 1.0}},
    "a calibrator of lists": lambda m: m | {"calibrator": {name: [[1.0]] for name in m["calibrator"]}},
    "a task of another kind": lambda m: m | {"task": m["task"] | {"task_type": "forecast"}},
    "a task that is no task": lambda m: m | {"task": {"name": "../../etc/passwd"}},
    "a variable that is no variable": lambda m: m | {"variables": [{"name": "x"}] * len(m["variables"])},
}

# Text of the manifest, and other entries of the folder; digests as they were
TEXTS = {
    "deep JSON": lambda t: t.replace(b"{", b'{"deep": ' + b"[" * 100_000, 1),
    "deep objects": lambda t: b'{"a":' * 100_000,
    "huge JSON": lambda t: t.rstrip()[:-1] + b" " * 60_000_000 + b"}",
    "a huge number": lambda t: t.replace(b": ", b": 1" + b"0" * 5_000 + b", ", 1),
    "a key twice": lambda t: t.rstrip()[:-1] + b', "format": "clinicalgru bundle 2"}',
    "NaN": lambda t: t.replace(b'"history": [', b'"history": [{"epoch": NaN}, ', 1),
    "version 1": lambda t: t.replace(b"bundle 2", b"bundle 1", 1),
    "version 9": lambda t: t.replace(b"bundle 2", b"bundle 9", 1),
    "no UTF-8": lambda t: t.replace(b"GRU", b"\xff\xfe", 1),
    "YAML": lambda t: b"!!python/object/apply:os.system [ls]",
    "a pickle": lambda t: pickle.dumps(Malicious()),
    "nothing": lambda t: b"",
    "null": lambda t: b"null",
    "a wrong digest": lambda t: t.replace(b'"sha256": {', b'"sha256": {"card.md": "' + b"0" * 64 + b'", "x": "', 1),
    "digests of other files": lambda t: t.replace(b"weights.safetensors", b"../weights.safetensors"),
}


def linked(name):
    def change(bundle):
        target = bundle.parent / f"other-{name}"
        shutil.move(bundle / name, target)
        (bundle / name).symlink_to(target)

    return change


FOLDERS = {
    "an extra pickle": lambda b: (b / "model.pkl").write_bytes(pickle.dumps(Malicious())),
    "an extra module": lambda b: (b / "clinicalgru.py").write_text("raise SystemExit"),
    "an extra folder": lambda b: (b / "code").mkdir(),
    "linked weights": linked(WEIGHTS),
    "a linked manifest": linked(MANIFEST),
    "a linked card": linked(CARD),
    "weights that are a device": lambda b: ((b / WEIGHTS).unlink(), (b / WEIGHTS).symlink_to("/dev/zero")),
    "manifest that is a pipe": lambda b: ((b / MANIFEST).unlink(), os.mkfifo(b / MANIFEST)),
    "weights that are a pipe": lambda b: ((b / WEIGHTS).unlink(), os.mkfifo(b / WEIGHTS)),
    "weights that are a folder": lambda b: ((b / WEIGHTS).unlink(), (b / WEIGHTS).mkdir()),
    "weights of 1 TB": lambda b: os.truncate(b / WEIGHTS, 2**40),
}

PARTS = {"weights": WEIGHT_FILES, "arrays": ARRAYS, "manifest": MANIFESTS, "text": TEXTS, "folder": FOLDERS}
CASES = [(kind, name) for kind, cases in PARTS.items() for name in cases]


def poisoned(bundle: Path, kind: str, name: str) -> None:
    poison = PARTS[kind][name]
    if kind == "folder":
        poison(bundle)
    elif kind == "text":
        (bundle / MANIFEST).write_bytes(poison((bundle / MANIFEST).read_bytes()))
    else:
        manifest, arrays = read_bundle(bundle)
        if kind == "weights":
            old, new = manifest.sha256[WEIGHTS], hashlib.sha256(poison).hexdigest()
            (bundle / WEIGHTS).write_bytes(poison)
            (bundle / MANIFEST).write_bytes((bundle / MANIFEST).read_bytes().replace(old.encode(), new.encode()))
            return
        content = json.loads(manifest.model_dump_json())
        if kind == "manifest":
            content = poison(content)
        arrays = poison(arrays) if kind == "arrays" else arrays
        files = seal(Manifest.model_construct(**content), arrays, (bundle / CARD).read_text())
        for file, data in files.items():
            (bundle / file).write_bytes(data)


@pytest.fixture(scope="module")
def loaded_once():
    return cg.load(GOLDEN / "bundle-2")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Pydantic serializer")
@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}-{name}" for kind, name in CASES])
def test_a_poisoned_bundle_is_refused(loaded_once, tmp_path, kind, name):
    bundle = tmp_path / "bundle"
    shutil.copytree(GOLDEN / "bundle-2", bundle)
    try:
        poisoned(bundle, kind, name)
    except (OSError, NotImplementedError):
        pytest.skip("a system without such files")
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(BundleError) as refused:
            cg.load(bundle)
        seconds, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < SECONDS
    assert peak < MEGABYTES * 2**20
    assert EXECUTED not in os.environ
    assert len(str(refused.value)) < 700


def test_a_golden_bundle_of_each_format_gives_its_recorded_risks():
    recorded = json.loads((GOLDEN / "risks.json").read_text())
    extract = {"stays": GOLDEN / "extract" / "stays.csv", "as_of": "2150-01-01"}
    for name, risks in recorded.items():
        table = cg.score(GOLDEN / name, GOLDEN / "extract" / "measurements.csv", **extract).set_index("stay_id")["risk"]
        np.testing.assert_allclose(pd.Series(risks, dtype=float)[table.index], table, rtol=1e-6)
    assert sum(file.stat().st_size for file in GOLDEN.rglob("*") if file.is_file()) < 300_000


def test_a_thousand_changed_bits_are_refused(tmp_path):
    rng, bundle = np.random.default_rng(5), tmp_path / "bundle"
    shutil.copytree(GOLDEN / "bundle-2", bundle)
    for file, n_bits in ((WEIGHTS, 400), (MANIFEST, 400), (CARD, 200)):
        content = (bundle / file).read_bytes()
        for position in rng.choice(len(content), size=n_bits, replace=False):
            changed = bytearray(content)
            changed[position] ^= 1 << int(rng.integers(8))
            (bundle / file).write_bytes(changed)
            with pytest.raises(BundleError):
                read_bundle(bundle)
        (bundle / file).write_bytes(content)
    read_bundle(bundle)
