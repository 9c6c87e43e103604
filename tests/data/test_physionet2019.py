"""PhysioNet 2019: the published figures, each cell against pandas, and files of another form."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest

import clinicalgru as cg

HEADER = "HR|Temp|Age|Gender|Unit1|Unit2|HospAdmTime|ICULOS|SepsisLabel\n"
STAYS = {
    "training/p000001.psv": HEADER
    + "80|NaN|60|1|NaN|NaN|-2.5|1|0\nNaN|37.5|60|1|NaN|NaN|-2.5|2|1\n70|NaN|60|1|NaN|NaN|-2.5|4|1\n",
    "training/p000002.psv": HEADER + "400|36|51.5|0|1|0|-0.1|3|0\n",
}


def write(folder, form: str, files: dict[str, str]):
    if form == "folder":
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        return folder
    path = folder / f"set.{form}"
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("training/", "")
            archive.writestr("__MACOSX/training/._p000001.psv", "leftover")
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content.encode()))
    return path


@pytest.mark.parametrize("form", ["zip", "folder", "tar.gz"])
def test_stays_are_read_as_one_would_by_hand(tmp_path, form):
    events = cg.read_events(write(tmp_path, form, STAYS), source="physionet2019", max_rejected=0.5)
    table = events.to_frame()
    hours = table["time"].dt.total_seconds() / 3600
    assert list(zip(table["stay_id"], hours, table["variable"], table["value"], strict=True)) == [
        ("p000001", 1, "heart_rate", 80),
        ("p000001", 2, "temperature", 37.5),
        ("p000001", 4, "heart_rate", 70),
        ("p000002", 3, "temperature", 36),
    ]
    stays = events.stays
    assert (stays["end"] / 3.6e9).tolist() == [4, 3]
    assert stays["start"].tolist() == [0, 0]
    assert stays["sepsis"].tolist() == [1, 0]
    assert stays["sepsis_onset_hours"].tolist()[0] == 2
    assert np.isnan(stays["sepsis_onset_hours"].tolist()[1])
    assert stays["hospital_to_icu_hours"].tolist() == pytest.approx([2.5, 0.1])
    assert stays["sex"].tolist() == [1, 0]
    assert events.ledger.rows_in == 4 * 7
    place = events.ledger.findings.query("reason == 'implausible'")["where"].item()
    assert place.endswith("p000002.psv, row 2, column HR")


def test_a_set_without_labels_has_no_outcomes(tmp_path):
    files = {name: "\n".join(line.rpartition("|")[0] for line in text.split("\n")) for name, text in STAYS.items()}
    assert cg.read_events(write(tmp_path, "zip", files), source="physionet2019", max_rejected=0.5).outcomes == ()


@pytest.mark.slow
def test_a_word_among_the_numbers_is_counted_at_its_place_and_the_rest_is_read(tmp_path):
    files = {name: text.replace("|37.5|", "|high|") for name, text in STAYS.items()}
    events = cg.read_events(write(tmp_path, "zip", files), source="physionet2019", max_rejected=0.5)
    found = events.ledger.findings.set_index("reason")["where"]
    assert found["value is not a number"] == "training/p000001.psv, row 3, column Temp"
    assert events.stays["sepsis_onset_hours"].tolist()[0] == 2
    assert len(events) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("HR|", "Puls|"), "p000002.psv, row 1: Expected HR"),
        (lambda text: text.replace("400|", ""), "p000002.psv, row 2: Expected 9 fields"),
        (lambda text: text.replace("|3|0", "|3|2"), "p000002.psv, row 2, column SepsisLabel: Expected 0 or 1"),
        (lambda text: text.replace("|3|0", "|NaN|0"), "p000002.psv, row 2, column ICULOS"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_row(tmp_path, change, message):
    files = STAYS | {"training/p000002.psv": change(STAYS["training/p000002.psv"])}
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.read_events(write(tmp_path, "zip", files), source="physionet2019")


def test_a_stay_that_comes_twice_and_a_folder_without_stays_are_refused(tmp_path):
    files = {**STAYS, "copy/p000001.psv": STAYS["training/p000001.psv"]}
    with pytest.raises(cg.ClinicalGRUError, match="each stay once"):
        cg.read_events(write(tmp_path, "zip", files), source="physionet2019")
    (tmp_path / "empty").mkdir()
    with pytest.raises(cg.ClinicalGRUError, match="files of stays"):
        cg.read_events(tmp_path / "empty", source="physionet2019")


@pytest.mark.slow
def test_the_published_figures_of_hospital_a_and_cells_against_pandas(real_data):
    path = real_data / "physionet2019" / "training_setA.zip"
    events = cg.read_events(path, source="physionet2019")
    ledger = events.ledger
    assert len(events.stays) == 20_336
    assert events.stays["sepsis"].sum() == events.stays["sepsis_onset_hours"].notna().sum() == 1_790
    assert ledger.rows_in == 790_215 * 39  # all columns but ICULOS and SepsisLabel
    assert (events.stays["end"] / 3.6e9).agg(["min", "max"]).tolist() == [8, 336]
    names = [variable.name for variable in events.variables]
    facts = events.measurements.filter(pc.equal(events.measurements["variable"], names.index("heart_rate"))).to_pandas()
    cells = 0
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist()[1::400]:
            raw = pd.read_csv(archive.open(name), sep="|")
            stay = name[-11:-4]
            heart = facts[facts["stay"] == events.stays.index[events.stays["stay_id"] == stay][0]]
            expected = raw.set_index("ICULOS")["HR"].dropna()
            assert heart["value"].tolist() == expected.tolist()
            assert (heart["time"] / 3.6e9).tolist() == expected.index.tolist()
            known = events.stays.set_index("stay_id").loc[stay]
            septic = raw.loc[raw["SepsisLabel"] == 1, "ICULOS"]
            np.testing.assert_equal(known["sepsis_onset_hours"], float(septic.min()) if len(septic) else np.nan)
            cells += len(heart)
    assert cells > 1000
