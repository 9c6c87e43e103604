"""PhysioNet 2012: the published figures from the ledger, and broken archives."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pandas as pd
import pytest

import clinicalgru as cg

PUBLISHED = {"a": (1_757_980, 1_737_654, 3, 554), "b": (1_762_535, 1_742_188, 7, 568)}
STAY = """Time,Parameter,Value
00:00,RecordID,132539
00:00,Age,54
00:00,Gender,0
00:00,Height,-1
00:00,ICUType,4
00:00,Weight,80.5
00:07,HR,73
00:07,Temp,35.1
00:07,Temp,35.3
47:59,pH,735
48:00,HR,80
01:00,,5
1:00,HR,77
"""


@pytest.fixture(scope="module", params="ab")
def published(request, physionet_2012):
    return request.param, physionet_2012(request.param)


@pytest.mark.slow
def test_the_published_figures_follow_from_the_ledger(published):
    name, events = published
    rows, measurements, without_series, deaths = PUBLISHED[name]
    ledger = events.ledger
    assert ledger.rows_in == rows
    assert ledger.measurements == measurements
    assert ledger.notes["stays without a series"] == without_series
    assert len(events.stays) == 4000
    assert events.stays["in_hospital_death"].sum() == deaths
    assert len(events.variables) == 37
    assert (
        ledger.static_values
        + sum(ledger.findings.query("not series")["rows"])
        + ledger.measurements
        + (ledger.findings.query("series and reason == 'missing value'")["rows"].sum())
        == rows
    )


@pytest.mark.slow
def test_each_measurement_is_the_one_of_the_file(published, real_data):
    """Against pandas, file by file, for some stays."""
    name, events = published
    table, seen = events.to_frame(), 0
    with tarfile.open(real_data / "physionet2012" / f"set-{name}.tar.gz") as archive:
        for member in [member for member in archive if member.isfile()][:20]:
            raw = pd.read_csv(archive.extractfile(member)).dropna()
            heart = raw[raw["Parameter"] == "HR"].groupby("Time")["Value"].mean()
            ours = table[(table["stay_id"] == member.name[-10:-4]) & (table["variable"] == "heart_rate")]
            assert ours["value"].tolist() == pytest.approx(heart[heart.between(10, 300)].tolist())
            seen += len(ours)
    assert seen > 500


def files_of(content: str) -> dict[str, str]:
    return {"set-x/132539.txt": content, "set-x/132540.txt": content.replace("132539", "132540")}


def write(folder, form: str, files: dict[str, str]):
    if form == "folder":
        path = folder / "set-x"
        path.mkdir()
        for name, content in files.items():
            (path / name.split("/")[1]).write_text(content)
    elif form == "zip":
        path = folder / "set-x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        path = folder / "set-x.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content.encode())
                archive.addfile(member, io.BytesIO(content.encode()))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_a_stay_is_read_as_one_would_by_hand(tmp_path, form):
    events = cg.read_events(write(tmp_path, form, files_of(STAY)), source="physionet2012", max_rejected=0.5)
    ledger = events.ledger
    assert ledger.rows_in == 26
    assert ledger.static_values == 8  # RecordID, Age, Gender, ICUType of two stays
    assert ledger.merged == 2
    assert ledger.rejected == {"missing value": 2, "implausible": 2, "no variable": 2, "time not readable": 2}
    one = events.to_frame().head(4)
    assert one["variable"].tolist() == ["weight", "heart_rate", "temperature", "heart_rate"]
    assert one["value"].tolist() == pytest.approx([80.5, 73, 35.2, 80])
    assert events.stays["admission_weight"].tolist() == [80.5, 80.5]
    assert events.stays["age"].tolist() == [54, 54]
    assert "height" not in events.stays  # -1 in both: not recorded


@pytest.mark.slow
def test_outcomes_of_minus_one_are_not_recorded(tmp_path):
    path = write(tmp_path, "folder", files_of(STAY))
    outcomes = tmp_path / "Outcomes-x.txt"
    outcomes.write_text(
        "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n132539,6,1,5,-1,0\n132540,-1,8,8,2,1\n"
    )
    events = cg.read_events(path, source="physionet2012", outcomes=outcomes, max_rejected=0.5)
    recorded = ("length_of_stay", "survival_days", "in_hospital_death", "saps_1", "sofa")
    assert set(events.outcomes) == {*recorded, "death_30d", "death_90d", "death_365d"}
    assert events.stays["survival_days"].isna().tolist() == [True, False]
    assert events.stays["saps_1"].isna().tolist() == [False, True]


def test_later_deaths_follow_from_the_day_of_death_and_are_unknown_without_it_in_hospital(tmp_path):
    stays = {f"set-x/{name}.txt": STAY.replace("132539", name) for name in "1234"}
    path, outcomes = write(tmp_path, "folder", stays), tmp_path / "Outcomes-x.txt"
    rows = ["1,-1,0", "2,-1,1", "3,30,1", "4,91,0"]
    outcomes.write_text("\n".join(["RecordID,Survival,In-hospital_death", *rows]) + "\n")
    events = cg.read_events(path, source="physionet2012", outcomes=outcomes, max_rejected=0.5)
    deaths = events.stays.set_index("stay_id")[["death_30d", "death_90d", "death_365d"]]
    assert deaths.loc[["1", "3", "4"]].to_numpy().tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert deaths.loc["2"].isna().all()
    further = events.auxiliary_targets(cg.Task.load("in_hospital_mortality"))
    assert list(further) == ["survival_days", "death_30d", "death_90d", "death_365d"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("Time,", "Tme,"), "set-x/132539.txt, row 1"),
        (lambda text: text.replace("00:07,HR,73", "00:07,HR"), "132539.txt, row 8: Expected 3 fields"),
        (lambda text: text.replace("RecordID,132539", "RecordID,999"), "RecordID of the file's name"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_row(tmp_path, change, message):
    files = files_of(STAY) | {"set-x/132539.txt": change(STAY)}
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.read_events(write(tmp_path, "tar.gz", files), source="physionet2012")


@pytest.mark.slow
def test_a_damaged_archive_is_refused_and_path_tricks_write_nothing(tmp_path):
    path = write(tmp_path, "tar.gz", files_of(STAY))
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(cg.ClinicalGRUError, match="truncated or corrupt"):
        cg.read_events(path, source="physionet2012")
    tricky = write(tmp_path, "tar.gz", {"../../132539.txt": STAY})
    assert cg.read_events(tricky, source="physionet2012", max_rejected=0.5).stays["stay_id"].tolist() == ["132539"]
    assert not list(tmp_path.parent.glob("132539.txt"))
