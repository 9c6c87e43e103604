"""Bundles: what is in them, what is refused, and that saving is whole or nothing."""

from __future__ import annotations

import hashlib
import json

import pytest

import clinicalgru as cg


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m | {"format": "clinicalgru bundle 9"}, "got clinicalgru bundle 9"),
        (lambda m: m | {"extra": 1}, "manifest.json, extra"),
        (lambda m: {k: v for k, v in m.items() if k != "task"}, "manifest.json, task"),
        (
            lambda m: m | {"network_spec": m["network_spec"] | {"hidden_size": 17}},
            "weights of the manifest's shapes",
        ),
        (lambda m: [], "no format"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(bundle, change, message):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(change(manifest)))
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.load(bundle)


def test_a_missing_file_is_refused(bundle):
    (bundle / "weights.safetensors").unlink()
    with pytest.raises(cg.ClinicalGRUError, match=r"the file weights.safetensors"):
        cg.load(bundle)
    with pytest.raises(cg.ClinicalGRUError, match="a bundle with a manifest"):
        cg.load(bundle / "nothing")
