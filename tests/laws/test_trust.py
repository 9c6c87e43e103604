"""Laws of trust: 13 (round trip), 16 (completeness), 17 (nothing leaks), 18 (planted truth)."""

from __future__ import annotations

import json
import logging
import shutil
import traceback
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.serve.bundle import files

CANARY_ID, CANARY_VALUE = "CANARY-4711", 77.123457


@pytest.fixture(scope="session")
def bundle(fitted, tmp_path_factory):
    return cg.save(fitted, tmp_path_factory.mktemp("bundle") / "model")


def test_13_a_saved_and_loaded_model_gives_equal_risks(fitted, bundle, test_stays):
    loaded = cg.load(bundle)
    np.testing.assert_array_equal(loaded.predict_proba(test_stays), fitted.predict_proba(test_stays))
    assert files(loaded) == files(fitted)


def test_13_other_variables_are_refused(fitted, test_stays):
    with pytest.raises(cg.ClinicalGRUError, match="missing: heart_rate"):
        fitted.predict_proba(test_stays.with_variables([v for v in test_stays.variables if v.name != "heart_rate"]))


def test_13_other_units_are_refused(fitted, test_stays):
    variables = tuple(replace(v, unit="mmol/L") if v.name == "glucose" else v for v in test_stays.variables)
    with pytest.raises(cg.ClinicalGRUError, match="glucose in mg/dL; got mmol/L"):
        replace(test_stays, variables=variables).with_variables(fitted.variables_)


@pytest.mark.parametrize("name", ["weights.safetensors", "card.md"])
def test_13_a_changed_file_is_refused(bundle, tmp_path, name):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[-3] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(cg.ClinicalGRUError, match="sha256"):
        cg.load(copy)


def test_13_a_manifest_of_other_variables_is_refused(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["variables"].pop()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(cg.ClinicalGRUError, match="manifest"):
        cg.load(copy)


def test_16_contributions_sum_to_what_they_explain(fitted, test_stays):
    for i in range(8):
        why = cg.explain(fitted, test_stays[[i]])
        difference = np.log(why.risk / (1 - why.risk)) - np.log(why.reference_risk / (1 - why.reference_risk))
        total = sum(table["contribution"].sum() for table in (why.measurements, why.static, why.absent))
        assert abs(difference - total - why.completeness_gap) < 1e-4
        assert abs(why.completeness_gap) < 0.01
        parts = why.measurements[["by_value", "by_measured", "by_timing"]].sum(axis=1)
        np.testing.assert_allclose(parts, why.measurements["contribution"], atol=1e-12)
        assert len(why.measurements) == test_stays.n_measurements[i]


@pytest.fixture
def canaries(three):
    """The hand-written cohort with one patient whose identifier and values must not be repeated."""
    rows = three.copy()
    rows.loc[rows["patient_id"] == "007", ["patient_id", "stay_id"]] = CANARY_ID
    rows.loc[0, "value"] = str(CANARY_VALUE)
    return rows


BREAKAGES = {
    "a time that is no date": {"time": f"{CANARY_VALUE}/x"},
    "a value that is no number": {"value": f"{CANARY_VALUE} approx"},
    "an unknown unit": {"unit": "furlongs"},
    "an unknown variable": {"variable": "mystery"},
    "an implausible value": {"value": "77123457"},
    "no time": {"time": ""},
}


@pytest.mark.parametrize("breakage", BREAKAGES)
@pytest.mark.parametrize("form", ["frame", "csv"])
def test_17_no_error_repeats_an_identifier_or_a_value(canaries, tmp_path, breakage, form, caplog):
    for column, cell in BREAKAGES[breakage].items():
        canaries.loc[canaries["patient_id"] == CANARY_ID, column] = cell
    data = canaries if form == "frame" else tmp_path / "extract.csv"
    if form == "csv":
        canaries.to_csv(data, index=False)
    with caplog.at_level(logging.DEBUG), pytest.raises(cg.ClinicalGRUError) as caught:
        cg.read_events(data)
    said = "".join(traceback.format_exception_only(caught.value)) + caplog.text
    assert "row" in said
    assert "CANARY" not in said
    assert "77" not in said.replace("77 ", "")


def test_17_a_broken_row_is_named_by_number_only(canaries, tmp_path):
    path = tmp_path / "extract.csv"
    path.write_text(canaries.to_csv(index=False) + f"{CANARY_ID},{CANARY_VALUE}\n")
    with pytest.raises(cg.ClinicalGRUError, match=r"extract.csv, row 17: Expected 7 columns; got 2") as caught:
        cg.read_events(path)
    assert "CANARY" not in f"{caught.value}{caught.value.__cause__}"
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_17_nothing_shown_or_saved_names_a_patient(canaries, fitted, cohort, events, test_stays):
    some = cg.read_events(canaries)
    shown = f"{some!r}{some.ledger}{some.ledger._repr_html_()}{some.ledger.findings}"
    assert "CANARY" not in shown
    saved = b"".join(files(fitted).values()).decode("latin-1")
    why = cg.explain(fitted, test_stays[[0]])
    for text in (saved, str(why), repr(events), repr(test_stays), json.dumps(dict(why.provenance))):
        assert not any(
            name in text for name in cohort.stays["patient_id"].head(50).tolist() + test_stays.stay[:50].tolist()
        )


@pytest.mark.slow
def test_18_where_lactate_decides_lactate_ranks_first(task):
    cohort = cg.simulate(1200, random_state=11, drivers={"lactate": 3.0})
    train, tune, test = cg.split_patients(cg.select(cg.read_events(cohort), task), [0.65, 0.1, 0.25], random_state=0)
    network = cg.NetworkConfig(hidden_size=16, readout_size=32, ensemble_size=8)
    model = cg.GRUClassifier(network, max_epochs=30, batch_size=64, random_state=0)
    model.fit(train, validation=tune, verbose=False)
    lactate = [variable.name for variable in test.variables].index("lactate")
    is_lactate = test.variable == lactate
    assert cg.faithfulness(model, test[:60], drivers=test[:60].variable == lactate, n_random=1).driver_auroc >= 0.95
    measured = test[np.unique(test.stay_of_measurement[is_lactate])[:30]]
    ranks = pd.concat([cg.explain(model, measured[[i]]).by_variable() for i in range(len(measured))])
    strength = ranks.assign(size=ranks["contribution"].abs()).groupby("variable")["size"].mean()
    assert strength.idxmax() == "lactate"
    assert strength["lactate"] > 1.5 * strength.drop("lactate").max()
