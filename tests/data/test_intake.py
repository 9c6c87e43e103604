"""The long reader: what comes in, what is refused or counted, and where it says the trouble is."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg


def ledger_of(rows, **reading):
    return cg.read_events(rows, max_rejected=1.0, **reading).ledger


def test_the_hand_written_ward_is_read_as_one_would_by_hand(three):
    events = cg.read_events(three)
    assert events.stays["stay_id"].tolist() == ["1", "2", "3", "4"]
    assert events.ledger.rows_in == 15
    assert (events.ledger.used, events.ledger.merged) == (12, 1)
    assert events.ledger.rejected == {"implausible": 1, "missing value": 1}
    assert events.ledger.converted == {
        "creatinine: umol/L -> mg/dL": 1,
        "glucose: mmol/L -> mg/dL": 1,
        "temperature: [degF] -> Cel": 1,
    }
    table = events.to_frame()
    assert table["value"].round(2).tolist() == [88, 92, 37, 1.8, 1.0, 120, 125, 38.9, 6.1, 70, 75, 90.08]
    assert str(table["available_at"][3]) == "2031-01-01 11:15:00"
    assert str(table["time"][3]) == "2031-01-01 10:00:00"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "parquet", "folder", "arrow"])
def test_every_form_of_the_same_table_reads_alike(three, tmp_path, form):
    expected = cg.read_events(three).to_frame()
    path = tmp_path / f"extract.{form}"
    if form == "arrow":
        import pyarrow as pa

        path = pa.Table.from_pandas(three)
    elif form == "parquet":
        three.to_parquet(path)
    elif form == "folder":
        path.mkdir()
        three.head(6).to_csv(path / "one.csv", index=False)
        three.tail(9).to_parquet(path / "two.parquet")
    else:
        three.to_csv(path, index=False, sep="\t" if form == "tsv" else ",")
    pd.testing.assert_frame_equal(cg.read_events(path).to_frame(), expected)


@pytest.mark.slow
def test_typed_columns_read_as_their_text_does(three):
    typed = three.assign(
        time=pd.to_datetime(three["time"]),
        available_at=pd.to_datetime(three["available_at"]),
        value=pd.to_numeric(three["value"]),
        stay_id=three["stay_id"].astype(int),
    )
    pd.testing.assert_frame_equal(cg.read_events(typed).to_frame(), cg.read_events(three).to_frame())


@pytest.mark.slow
def test_identifiers_keep_leading_zeros_and_survive_beyond_2_to_the_53(three, tmp_path):
    long = str(2**53 + 1)
    rows = three.replace({"patient_id": {"100": long}})
    rows.to_csv(tmp_path / "extract.csv", index=False)
    assert cg.read_events(tmp_path / "extract.csv").stays["patient_id"].tolist() == ["007", "012", "012", long]
    whole = rows[rows["patient_id"] == long].assign(patient_id=2**53 + 1)
    assert cg.read_events(whole).stays["patient_id"].tolist() == [long]


def test_identifiers_as_floating_point_are_refused(three):
    with pytest.raises(cg.ClinicalGRUError, match="floating point, which rounds"):
        cg.read_events(three.assign(stay_id=three["stay_id"].astype(float)))


REFUSED = {
    "a missing column": (lambda t: t.drop(columns="time"), "Expected a column time; got columns patient_id, stay_id"),
    "a column twice": (lambda t: t.set_axis(["value", *t.columns[1:]], axis=1), "column value twice"),
    "dates and hours mixed": (
        lambda t: t.assign(time=["3.5", *t["time"][1:]]),
        "row 0, column time.*one format of time",
    ),
    "day numbers of a spreadsheet": (
        lambda t: t.assign(time=[str(47928.43 + i) for i in range(15)], available_at=""),
        "hours since the start of the stay; got only numbers above 20,000",
    ),
    "some with offset": (
        lambda t: t.assign(time=[*t["time"][:14], "2031-03-01T06:00Z"]),
        "with or without UTC offset; got times of both forms",
    ),
    "day-first dates": (lambda t: t.assign(time="01/02/2031 10:00"), "14 of 14, most often: time not readable"),
    "decimal commas": (
        lambda t: t.assign(value=t["value"] + ",5"),
        "row 0, column value: .*most often: value is not a number",
    ),
    "an unknown variable": (lambda t: t.assign(variable="HR"), "row 0, column variable: .*unknown variable HR"),
    "an unknown unit": (lambda t: t.assign(unit="furlong"), "row 0, column unit: .*unknown unit heart_rate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_throughout_stops_the_load_with_its_place(three, case):
    change, message = REFUSED[case]
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.read_events(change(three))


COUNTED = {
    "value is not a number": {"value": "<5"},
    "time not readable": {"time": "2031-02-30 10:00"},
    "unknown unit": {"unit": "furlong"},
    "unknown variable": {"variable": "HR"},
    "no identifier": {"patient_id": ""},
    "no variable": {"variable": ""},
    "no time": {"time": " "},
    "missing value": {"value": "NA"},
    "implausible": {"value": "1e9"},
    "available_at not readable": {"available_at": "soon"},
}


@pytest.mark.slow
@pytest.mark.parametrize("reason", COUNTED)
def test_a_bad_row_is_counted_by_reason_and_its_place_named(three, tmp_path, reason):
    before = ledger_of(three).rejected.get(reason, 0)
    for column, cell in COUNTED[reason].items():
        three.loc[8, column] = cell
    three.to_csv(tmp_path / "labs.csv", index=False)
    ledger = ledger_of(tmp_path / "labs.csv")
    assert ledger.rejected[reason] == before + 1
    column = next(iter(COUNTED[reason]))
    places = ledger.findings.query("reason == @reason")["where"].tolist()
    assert f"labs.csv, row 10, column {column}" in places  # row 1 is the header


def test_an_implausible_value_is_never_clipped(three):
    assert 999 not in cg.read_events(three).to_frame()["value"].tolist()


@pytest.mark.slow
def test_more_rejected_rows_than_allowed_stop_the_load_and_rows_without_value_do_not_count(three):
    bad = three.copy()
    bad.loc[[1, 2], "value"] = "x"
    with pytest.raises(cg.ClinicalGRUError, match=r"at most 10% of rows rejected; got 3 of 14"):
        cg.read_events(bad)
    assert cg.read_events(bad, max_rejected=0.25).ledger.n_counted_rejections == 3
    bad.loc[3:, "value"] = ""
    assert cg.read_events(bad.drop(index=[1, 2])).ledger.missing == 12


def test_sodium_may_be_called_na(three):
    rows = three.tail(1).assign(variable="Na", value="140", unit="mmol/L")
    own = {"sodium": dict(cg.Dictionary.load())["sodium"].to_dict()}
    assert own
    assert ledger_of(rows).rejected == {"unknown variable": 1}  # not "no variable"


@pytest.mark.slow
def test_columns_are_mapped_and_times_of_another_format_read(three, tmp_path):
    other = three.rename(columns={"patient_id": "MRN", "time": "Zeit", "value": "Wert"})
    other["Zeit"] = pd.to_datetime(other["Zeit"]).dt.strftime("%d.%m.%Y %H:%M")
    other["available_at"] = ""
    columns = {"patient_id": "MRN", "time": "Zeit", "value": "Wert"}
    events = cg.read_events(other, columns=columns, time_format="%d.%m.%Y %H:%M")
    expected = cg.read_events(three.assign(available_at=""))
    pd.testing.assert_frame_equal(events.to_frame(), expected.to_frame())


@pytest.mark.slow
def test_offsets_are_honoured(three):
    east = three.assign(time=pd.to_datetime(three["time"]).dt.strftime("%Y-%m-%dT%H:%M:%S+02:00"), available_at="")
    expected = cg.read_events(three.assign(available_at="")).to_frame()["time"] - pd.Timedelta("2h")
    pd.testing.assert_series_equal(cg.read_events(east).to_frame()["time"], expected)


BROKEN = {
    "utf-16": (lambda text: text.encode("utf-16"), "UTF-8 text; got UTF-16"),
    "latin-1": (
        lambda text: text.replace("/min", "µ/min").encode("latin-1"),
        "extract.csv, row 2: Expected UTF-8 text",
    ),
    "an open quote": (lambda text: text.replace("012,2", '012,"2', 1).encode(), "row 7: Expected a closing quote"),
    "a row cut off": (lambda text: text.encode()[:-20], "row 16: Expected 7 columns; got"),
    "nothing": (lambda text: b"", "Expected a header row; got an empty file"),
    "binary": (lambda text: b"\x00\x01" + text.encode(), "UTF-16 or binary"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_with_its_row(three, tmp_path, case):
    change, message = BROKEN[case]
    path = tmp_path / "extract.csv"
    path.write_bytes(change(three.to_csv(index=False)))
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.read_events(path)


def test_a_truncated_gzip_and_a_damaged_parquet_are_refused(three, tmp_path):
    packed = gzip.compress(three.to_csv(index=False).encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[:-30])
    three.to_parquet(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "b.parquet").read_bytes()[:-40])
    for name in ("a.csv.gz", "b.parquet"):
        with pytest.raises(cg.ClinicalGRUError, match=name):
            cg.read_events(tmp_path / name)


@pytest.mark.slow
def test_a_byte_order_mark_is_no_part_of_the_first_column(three, tmp_path):
    (tmp_path / "extract.csv").write_bytes(b"\xef\xbb\xbf" + three.to_csv(index=False).encode())
    pd.testing.assert_frame_equal(cg.read_events(tmp_path / "extract.csv").to_frame(), cg.read_events(three).to_frame())


@pytest.mark.slow
def test_the_stays_table_brings_start_and_static_covariates_and_unknown_stays_are_counted(three):
    stays = pd.DataFrame(
        {
            "patient_id": ["007", "012"],
            "stay_id": ["1", "2"],
            "start": ["2031-01-01 06:00", ""],
            "age": ["61", "450"],
            "sex": ["1", ""],
        }
    )
    events = cg.read_events(three, stays=stays, max_rejected=0.5)
    assert events.ledger.rejected["stay not in the stays table"] == 4
    assert events.ledger.notes["static values not used: age"] == 1
    assert events.stays["age"].tolist()[0] == 61
    assert np.isnan(events.stays["age"].tolist()[1])
    hours = cg.select(events, cg.Task.load("in_hospital_mortality"), include_ineligible=True)[[0]].hours
    assert hours.tolist() == [2.0, 3.5, 3.5, 5.25, 6.0]


@pytest.mark.parametrize(
    ("stays", "message"),
    [
        ({"patient_id": ["1", "1"], "stay_id": ["1", "1"]}, "each stay once"),
        ({"patient_id": ["1"], "stay_id": ["1"], "start": ["yesterday"]}, "row 0, column start: Expected a date"),
        ({"patient_id": [""], "stay_id": ["1"]}, "a patient_id in every row"),
        ({"stay_id": ["1"]}, "a column patient_id"),
    ],
)
def test_a_stays_table_that_cannot_be_trusted_is_refused(three, stays, message):
    with pytest.raises(cg.ClinicalGRUError, match=message):
        cg.read_events(three, stays=pd.DataFrame(stays))


def test_unknown_outcome_stays_unknown_and_is_counted(three):
    outcomes = pd.DataFrame({"stay_id": ["1", "2", "3", "9"], "in_hospital_death": ["0", "1", "", "1"]})
    events = cg.read_events(three, outcomes=outcomes)
    assert events.stays["in_hospital_death"].isna().tolist() == [False, False, True, True]
    assert events.ledger.notes["outcomes of no stay of the extract"] == 1
    flow = dict(cg.select(events, cg.Task.load("in_hospital_mortality")).flow)
    assert flow["outcome recorded (death in hospital)"] == 2


def test_an_outcome_that_is_text_is_refused_with_its_row(three):
    outcomes = pd.DataFrame({"stay_id": ["1", "2"], "in_hospital_death": ["0", "perhaps"]})
    with pytest.raises(cg.ClinicalGRUError, match="outcomes, DataFrame, row 1, column in_hospital_death"):
        cg.read_events(three, outcomes=outcomes)


def test_a_user_adds_a_variable_in_yaml(three, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("procalcitonin: {label: Procalcitonin, unit: ug/L, plausible: [0, 1000], source: ours}\n")
    rows = pd.concat([three, three.head(1).assign(variable="procalcitonin", value="2.5", unit="ng/mL")])
    assert cg.read_events(rows.assign(unit=rows["unit"].replace("ng/mL", "ug/L")), variables=own).ledger.used == 13


@pytest.mark.slow
def test_static_covariates_that_change_within_a_stay_are_counted_and_the_ledger_balances():
    def rows(stay, *ages):
        return [(stay, hour, "age", age) for hour, age in enumerate(ages)] + [(stay, 9, "heart_rate", 80)]

    table = pd.DataFrame(
        [*rows("1", 70, 71), *rows("2", 60, 60), *rows("3", 50, 51)],
        columns=["patient_id", "time", "variable", "value"],
    )
    events = cg.read_events(table)
    assert events.stays["age"].tolist() == [71, 60, 51]
    assert events.ledger.notes["stays with several values of age (the last known is used)"] == 2
    assert (events.ledger.rows_in, events.ledger.static_values, events.ledger.used) == (9, 6, 3)
    stays = pd.DataFrame({"patient_id": ["1", "2", "3"], "age": [71, 61, None]})
    events = cg.read_events(table, stays=stays)
    assert events.stays["age"].tolist() == [71, 61, 51]
    assert events.ledger.notes["stays with another age in the stays table (which is used)"] == 1
    assert not [note for note in cg.read_events(table[table["patient_id"] == "2"]).ledger.notes if "several" in note]
