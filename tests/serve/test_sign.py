"""Signatures say who made a bundle: tampering, foreign keys and missing signatures are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer

import clinicalgru as cg
from clinicalgru.cli.main import app, main
from clinicalgru.errors import ArgumentError, BundleError, SignatureError
from clinicalgru.serve.integrity import read_bundle, seal

pytest.importorskip("cryptography")
GOLDEN = Path(__file__).parent / "golden"


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key, private, public = Ed25519PrivateKey.generate(), folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(GOLDEN / "bundle-2", tmp_path / "bundle"))


@pytest.fixture
def keys(tmp_path):
    return key_pair(tmp_path, "ours")


def resealed(bundle: Path) -> None:
    """Changed by someone who computed all digests anew."""
    manifest, arrays = read_bundle(bundle)
    arrays = {name: array + 1 if "readout" in name else array for name, array in arrays.items()}
    for name, data in seal(manifest, arrays, (bundle / "card.md").read_text()).items():
        (bundle / name).write_bytes(data)


def test_a_signed_bundle_loads_where_its_key_is_required(bundle, keys):
    private, public = keys
    assert cg.sign(bundle, private) == bundle / "signature.json"
    cg.verify(bundle, public)
    signed = cg.load(bundle, require_signature=public)
    assert signed.task_ == cg.load(GOLDEN / "bundle-2").task_


def test_whoever_computes_the_digests_anew_is_still_found_out(bundle, keys):
    cg.sign(bundle, keys[0])
    resealed(bundle)
    cg.load(bundle)
    with pytest.raises(SignatureError, match="changed after it was signed"):
        cg.load(bundle, require_signature=keys[1])


def test_other_keys_and_missing_or_damaged_signatures_are_refused(bundle, keys, tmp_path):
    private, public = keys
    with pytest.raises(SignatureError, match="without a signature"):
        cg.verify(bundle, public)
    cg.sign(bundle, key_pair(tmp_path, "theirs")[0])
    with pytest.raises(SignatureError, match="another key"):
        cg.verify(bundle, public)
    cg.sign(bundle, private)
    content = json.loads((bundle / "signature.json").read_text())
    forged = {"key": "0" * 64, "signature": "AAAA", "format": "x"}
    for name, value in forged.items():
        (bundle / "signature.json").write_text(json.dumps(content | {name: value}))
        if name == "key":  # only a label: what counts is the signature
            cg.verify(bundle, public)
            continue
        with pytest.raises(SignatureError):
            cg.verify(bundle, public)
    for text in ("", "null", "[]", "[" * 100_000, '{"key": 1}'):
        (bundle / "signature.json").write_text(text)
        with pytest.raises(SignatureError):
            cg.verify(bundle, public)


def test_the_signature_of_a_bundle_does_not_hold_for_another(bundle, keys, tmp_path):
    cg.sign(bundle, keys[0])
    other = cg.save(_other_model(), tmp_path / "other")
    shutil.copy(bundle / "signature.json", other)
    with pytest.raises(SignatureError):
        cg.verify(other, keys[1])


def _other_model():
    stays = cg.select(cg.read_events(cg.simulate(60)), cg.Task.load("in_hospital_mortality"))
    return cg.SummaryBaseline("logistic regression").fit(stays)


def test_other_files_are_no_keys(bundle, keys, tmp_path):
    private, public = keys
    for path in (public, tmp_path / "none.pem", bundle / "card.md"):
        with pytest.raises(ArgumentError, match="key"):
            cg.sign(bundle, path)
    for path in (private, tmp_path / "none.pub", bundle / "manifest.json"):
        with pytest.raises(ArgumentError, match="key"):
            cg.verify(bundle, path)
    assert not (bundle / "signature.json").exists()
    (bundle / "card.md").write_text("other")
    with pytest.raises(BundleError):
        cg.sign(bundle, private)


@pytest.mark.slow
def test_the_commands_have_exit_codes(bundle, keys, capsys, tmp_path):
    private, public = keys

    def code(*arguments) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return ended.value.code or 0

    tables = (GOLDEN / "extract" / "measurements.csv", "--stays", GOLDEN / "extract" / "stays.csv")
    score = ("score", bundle, *tables, "--as-of", "2150-01-01", "--require-signature", public, "--out")
    assert code("verify", bundle, "--key", public) == 8
    assert code(*score, tmp_path / "refused.csv") == 8
    assert code("sign", bundle, "--key", public) == 2
    assert code("sign", bundle, "--key", private) == 0
    assert code("verify", bundle, "--key", public) == 0
    assert code(*score, tmp_path / "scores.csv") == 0
    assert not (tmp_path / "refused.csv").exists()
    with pytest.raises(ArgumentError, match="Leave require_signature out"):
        cg.score(cg.load(bundle), *tables[:1], require_signature=public)


def test_every_command_that_uses_a_bundle_can_require_a_signature():
    commands = typer.main.get_command(app).commands
    using = {name: {one.name for one in command.params} for name, command in commands.items()}
    using = {name: found for name, found in using.items() if found & {"bundle", "first", "old"}}
    assert {name for name, found in using.items() if "require_signature" not in found} <= {"sign", "verify"}
    assert {"score", "export", "drift", "dashboard", "compare"} <= set(using)


def test_whatever_takes_a_bundle_refuses_one_that_is_not_signed(bundle, keys, tmp_path):
    extract, key = GOLDEN / "extract" / "measurements.csv", {"require_signature": keys[1]}
    uses = (
        lambda: cg.score(bundle, extract, **key),
        lambda: cg.validate(bundle, extract, **key),
        lambda: cg.drift(bundle, extract, **key),
        lambda: cg.compare_bundles(bundle, bundle, {"min_events": 20}, extract, **key),
        lambda: cg.export_onnx(bundle, tmp_path / "onnx", **key),
        lambda: cg.Monitor(bundle, **key),
        lambda: next(cg.watch(bundle, extract, out=tmp_path / "scores", **key)),
    )
    for use in uses:
        with pytest.raises(SignatureError, match="without a signature"):
            use()
