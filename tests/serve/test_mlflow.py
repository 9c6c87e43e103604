"""MLflow: a saved model is code and a bundle, and gives the scores."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import clinicalgru as cg
from clinicalgru.errors import SignatureError
from clinicalgru.serve.mlflow_model import score_table

LATER = "2150-01-01"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Some versions of MLflow write a folder mlruns where they run."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def rows(cohort):
    """Rows of 40 stays, each with the columns of its stay."""
    return cohort.measurements.merge(cohort.stays[:40], on=["patient_id", "stay_id"]).drop(columns="code")


@pytest.fixture(scope="module")
def scores(fitted, cohort):
    chosen = cohort.stays[:40]
    measurements = cohort.measurements[cohort.measurements["stay_id"].isin(chosen["stay_id"])]
    table = cg.score(fitted, measurements, stays=chosen, as_of=LATER)
    return table[table["stay_id"].isin(measurements["stay_id"])].reset_index(drop=True)


def test_one_table_holds_rows_and_stays(fitted, rows, scores):
    table = score_table(fitted, rows, {"as_of": LATER})
    assert table["stay_id"].tolist() == scores["stay_id"].tolist()
    assert np.abs(table["risk"] - scores["risk"]).max() == 0


def test_without_mlflow_one_sentence_says_what_to_install(fitted, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(cg.ClinicalGRUError, match=r"clinicalgru\[mlflow\]"):
        cg.save_mlflow(fitted, tmp_path / "model")


@pytest.mark.slow
def test_the_saved_model_gives_the_scores_and_holds_no_pickle(fitted, rows, scores, tmp_path):
    mlflow = pytest.importorskip("mlflow.pyfunc")
    cg.save_mlflow(fitted, tmp_path / "model")
    names = {file.name for file in (tmp_path / "model").rglob("*") if file.is_file()}
    assert {"clinicalgru_model.py", "weights.safetensors", "manifest.json", "MLmodel"} <= names
    assert not any(name.endswith((".pkl", ".pickle", ".joblib", ".pt")) for name in names)
    loaded = mlflow.load_model(str(tmp_path / "model"))
    assert {"as_of", "accept_differences"} == {param.name for param in loaded.metadata.signature.params.params}
    rows = rows.assign(**{name: rows[name].astype("string") for name in ("sex", "icu_type")})
    table = loaded.predict(rows, params={"as_of": LATER})
    assert table["stay_id"].tolist() == scores["stay_id"].tolist()
    assert np.abs(table["risk"] - scores["risk"]).max() == 0


@pytest.mark.slow
def test_a_signed_bundle_keeps_its_signature_which_can_be_required(fitted, tmp_path):
    mlflow = pytest.importorskip("mlflow.pyfunc")
    form = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    (tmp_path / "key.pem").write_bytes(secret)
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub").write_bytes(public)
    bundle, config = cg.save(fitted, tmp_path / "bundle"), {"require_signature": str(tmp_path / "key.pub")}
    with pytest.raises(SignatureError):
        cg.save_mlflow(bundle, tmp_path / "refused", **config)
    cg.save_mlflow(bundle, tmp_path / "unsigned")
    with pytest.raises(SignatureError):
        mlflow.load_model(str(tmp_path / "unsigned"), model_config=config)
    cg.sign(bundle, tmp_path / "key.pem")
    cg.save_mlflow(bundle, tmp_path / "signed", **config)
    mlflow.load_model(str(tmp_path / "signed"), model_config=config)
