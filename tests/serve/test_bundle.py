"""Bundles: what is in them, what is refused, and that saving is whole or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.errors import BundleError
from clinicalgru.serve.integrity import read_bundle, seal
from clinicalgru.serve.manifest import Manifest


@pytest.fixture
def bundle(fitted, tmp_path):
    return cg.save(fitted, tmp_path / "bundle")


def test_a_bundle_says_what_it_is_and_where_it_comes_from(bundle, cohort):
    assert sorted(file.name for file in bundle.iterdir()) == ["card.md", "manifest.json", "weights.safetensors"]
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["trained_on"]["simulated"] is True
    assert manifest["trained_on"]["source"] == cohort.description
    heart = next(v for v in manifest["variables"] if v["name"] == "heart_rate")
    assert (heart["unit"], heart["plausible"]) == ("/min", [10, 300])
    for name, sha256 in manifest["sha256"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == sha256
    card = (bundle / "card.md").read_text()
    assert "simulated patients" in card
    assert "| Heart rate | /min | 10 to 300 |" in card


def test_saving_again_replaces_the_whole_bundle_and_leaves_nothing_else(fitted, bundle):
    (bundle / "stray.txt").write_text("x")
    cg.save(fitted, bundle)
    assert "stray.txt" not in {file.name for file in bundle.iterdir()}
    assert [file.name for file in bundle.parent.iterdir()] == ["bundle"]


def test_a_folder_with_something_else_in_it_is_not_overwritten(fitted, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(cg.ClinicalGRUError, match="something else"):
        cg.save(fitted, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def resealed(bundle, change):
    """A bundle whose manifest was changed by someone who computed all digests anew."""
    manifest, arrays = read_bundle(bundle)
    content = change(json.loads(manifest.model_dump_json()))
    files = seal(Manifest.model_validate(content), arrays, (bundle / "card.md").read_text())
    for name, data in files.items():
        (bundle / name).write_bytes(data)
    return bundle


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m | {"format": "clinicalgru bundle 9"}, "got 'clinicalgru bundle 9'"),
        (lambda m: m | {"extra": 1}, "manifest.json, extra"),
        (lambda m: {k: v for k, v in m.items() if k != "task"}, "manifest.json, task"),
        (lambda m: m | {"history": "none"}, "manifest.json, history"),
        (lambda m: m | {"variables": m["variables"][::-1]}, "saved with the weights"),
        (lambda m: m | {"trained_on": m["trained_on"] | {"source": "another"}}, "saved with the weights"),
        (lambda m: [], "no format"),
    ],
)
def test_a_changed_manifest_is_refused(bundle, change, message):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(change(manifest)))
    with pytest.raises(BundleError, match=message):
        cg.load(bundle)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lambda t: t.rstrip()[:-1] + ', "calibrator": null}', "a field twice"),
        (lambda t: t.replace("{", '{"deep": ' + "[" * 100_000, 1), "other text"),
        (lambda t: t.replace('"history": [', '"history": [{"epoch": NaN}, ', 1), "other text"),
        (lambda t: t.replace(": ", ":  ", 1), "saved with the weights"),
    ],
)
def test_a_manifest_of_other_text_is_refused(bundle, text, message):
    manifest = bundle / "manifest.json"
    manifest.write_text(text(manifest.read_text()))
    with pytest.raises(BundleError, match=message):
        cg.load(bundle)


@pytest.mark.parametrize(
    "spec",
    [
        {"hidden_size": 17},
        {"hidden_size": 10**9},
        {"n_layers": 1_000_000},
        {"n_layers": 2.0},
        {"convolution": [2] * 100_000},
        {"code_vocabulary": 7},
        {"unknown": 1},
        {"static_variables": [-5]},
    ],
    ids=lambda spec: "-".join(spec),
)
def test_a_network_that_does_not_fit_its_weights_is_refused_before_it_is_built(bundle, spec):
    resealed(bundle, lambda m: m | {"network_spec": m["network_spec"] | spec})
    with pytest.raises(BundleError):
        cg.load(bundle)


def test_a_changed_bit_of_any_file_is_refused(bundle, tmp_path):
    rng, copy = np.random.default_rng(5), tmp_path / "copy"
    shutil.copytree(bundle, copy)
    for file in bundle.iterdir():
        content = file.read_bytes()
        for position in rng.integers(len(content), size=25):
            changed = bytearray(content)
            changed[position] ^= 1 << int(rng.integers(8))
            (copy / file.name).write_bytes(changed)
            with pytest.raises(BundleError):
                cg.load(copy)
        (copy / file.name).write_bytes(content)
    cg.load(copy)


def test_a_missing_file_is_refused(bundle):
    (bundle / "weights.safetensors").unlink()
    with pytest.raises(cg.ClinicalGRUError, match=r"the file weights.safetensors"):
        cg.load(bundle)
    with pytest.raises(cg.ClinicalGRUError, match="a bundle with a manifest"):
        cg.load(bundle / "nothing")
