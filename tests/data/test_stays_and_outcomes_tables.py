"""The stays and outcomes tables go by the rules of the rows: names, identifiers, units, clocks, missing values."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, InputError, TaskError

HOURS = 3_600_000_000


def rows(times=("2031-01-01 08:00", "2031-01-01 09:00", "2031-01-01 10:00"), **more):
    table = {
        "patient_id": ["1"] * len(times) + ["2"] * len(times),
        "stay_id": ["11"] * len(times) + ["12"] * len(times),
        "time": [*times] * 2,
        "variable": "heart_rate",
        "value": np.arange(80.0, 80.0 + 2 * len(times)),
    }
    return pd.DataFrame(table | more)


def stays(**columns):
    return pd.DataFrame({"patient_id": ["1", "2"], "stay_id": ["11", "12"]} | columns)


def outcomes(**columns):
    return pd.DataFrame({"stay_id": ["11", "12"]} | columns)


def seen(events, hours=24.0):
    """(hours, value) of what a model sees of the first stay."""
    task = cg.Task("t", "death", (0.0, hours))
    frame = cg.select(events, task, include_ineligible=True)[[0]].to_frame()
    return list(zip(frame["hours"].round(6), frame["value"], strict=True))


def hours_of(events, name):
    return (events.stays[name].astype("Float64") / HOURS).tolist()


# names of columns


@pytest.mark.slow
def test_names_of_columns_differ_in_letter_case_and_blanks_and_unused_ones_are_counted(tmp_path):
    table = stays(**{"Start": "2031-01-01 06:00", " AGE ": [70, 80], "Ward": ["A", None]})
    table.to_csv(tmp_path / "stays.csv", index=False)
    for given in (table, tmp_path / "stays.csv"):
        events = cg.read_events(rows(), stays=given)
        assert seen(events)[0] == (2.0, 80.0)
        assert events.stays["age"].tolist() == [70, 80]
        assert events.ledger.notes["column not used: Ward (stays)"] == 1


@pytest.mark.parametrize("columns", [{}, {"outcomes": {"dead": "died"}}], ids=["as it is", "mapped"])
def test_a_column_of_one_table_of_stays_and_outcomes_counts_as_used_where_one_of_them_uses_it(columns):
    table = stays(start=0.0, end=9.0, age=[70, 80], died=[0, 1], ward=["A", "B"])
    hours = pd.DataFrame({"patient_id": table["patient_id"], "stay_id": table["stay_id"], "time": 1.0})
    extract = hours.assign(variable="heart_rate", value=80)
    events = cg.read_events(extract, stays=table, outcomes=table.copy(), columns=columns)
    assert set(events.outcomes) == {"dead" if columns else "died"}
    unused = {note for note in events.ledger.notes if note.startswith("column not used")}
    assert unused == {"column not used: ward (stays)", "column not used: ward (outcomes)"}


def test_a_mapping_may_name_its_table_and_one_that_fits_two_is_refused():
    table = stays(admitted="2031-01-01 06:00", years=[70, 80]).rename(columns={"patient_id": "MRN"})
    data = rows().rename(columns={"patient_id": "mrn", "time": "charted"})
    names = {"patient_id": "MRN", "time": "charted", "stays": {"start": "admitted", "age": "years"}}
    events = cg.read_events(data, stays=table, columns=names)
    assert seen(events)[0] == (2.0, 80.0)
    assert events.stays["age"].tolist() == [70, 80]
    wide = pd.DataFrame({"patient_id": ["1", "2"], "stay_id": ["11", "12"], "time": 0.0, "years": 60, "heart_rate": 80})
    with pytest.raises(cg.ClinicalGRUError, match="one table with a column years"):
        cg.read_events(wide, source="wide", stays=stays(years=[70, 80]), columns={"age": "years"})


@pytest.mark.parametrize(
    "names", [{"start": "admited"}, {"stays": {"start": "admited"}}, {"outcomes": {"death": "died"}}]
)
def test_a_mapping_of_a_column_that_no_table_has_is_refused(names):
    with pytest.raises(cg.ClinicalGRUError, match="Correct the name in columns="):
        cg.read_events(rows(), stays=stays(admitted="2031-01-01 06:00"), columns=names)


@pytest.mark.parametrize("names", [{"ward": {"start": "x"}}, {"stays": {"start": 3}}, {3: "x"}, ["start"]])
def test_a_mapping_of_another_form_is_refused(names):
    with pytest.raises(ArgumentError, match="columns"):
        cg.read_events(rows(), columns=names)


# identifiers


@pytest.mark.parametrize("name", ["stays", "outcomes"])
def test_floating_point_identifiers_are_refused_in_every_table(name):
    table = pd.DataFrame({"patient_id": ["1", "2"], "stay_id": [11.0, 12.0], "death": [0, 1]})
    with pytest.raises(InputError, match=r"floating point.*astype\('Int64'\)"):
        cg.read_events(rows(), **{name: table})


@pytest.mark.parametrize("word", ["NA", "nan", "None", "<NA>", "NULL", "."])
def test_a_word_for_missing_is_no_identifier(word):
    """As R, pandas and SAS write it: such rows are not all of one patient."""
    events = cg.read_events(rows(), stays=stays())
    unknown = pd.concat([rows(), rows().assign(patient_id=word, stay_id=word)])
    again = cg.read_events(unknown, stays=stays(), max_rejected=1.0)
    assert again.ledger.rejected == {"no identifier": len(rows())}
    assert again.to_frame().equals(events.to_frame())
    for table in ({"stays": stays().assign(stay_id=word)}, {"outcomes": pd.DataFrame({"stay_id": [word], "death": 1})}):
        with pytest.raises(InputError, match="a stay_id in every row"):
            cg.read_events(rows(), **table)


@pytest.mark.parametrize("name", ["patient_id", "stay_id"])
def test_identifiers_that_a_spreadsheet_rounded_are_refused(name):
    with pytest.raises(InputError, match=f"{name} as the source wrote it.*scientific notation"):
        cg.read_events(rows().assign(**{name: "2.01235E+11"}))


@pytest.mark.parametrize(
    ("column", "fix"),
    [(pd.PeriodIndex(["2031-01"] * 9, freq="M"), "dt.to_timestamp"), (pd.arrays.SparseArray([1.0] * 9), "to_dense")],
)
def test_types_without_a_like_in_arrow_are_refused(column, fix):
    """A month as a period would be read as the number of months since 1970."""
    table = rows()
    with pytest.raises(InputError, match=fix):
        cg.read_events(table.assign(time=column[: len(table)]))


def test_outcomes_of_other_stays_only_are_refused():
    with pytest.raises(InputError, match="outcomes of stays of the extract"):
        cg.read_events(rows(), outcomes=pd.DataFrame({"stay_id": ["11.0", "12.0"], "death": [0, 1]}))


# times


@pytest.mark.parametrize("start", ["47000", "5", "0", "1e3", 0, 5.5])
def test_numbers_as_starts_of_dated_rows_are_refused(start):
    with pytest.raises(InputError, match="stays, DataFrame, row 0, column start: Expected"):
        cg.read_events(rows(), stays=stays(start=start))


@pytest.mark.parametrize(
    ("times", "start"),
    [
        (("2031-01-01 08:00",), "2031-01-01 08:00+01:00"),
        (("2031-01-01 08:00Z",), "2031-01-01 08:00"),
        ((0.0,), "2031-01-01 08:00"),
    ],
)
def test_two_clocks_in_two_tables_are_refused(times, start):
    with pytest.raises(InputError, match="one kind of time in all tables"):
        cg.read_events(rows(times), stays=stays(start=start))


def test_day_numbers_of_a_spreadsheet_are_no_hours():
    with pytest.raises(InputError, match="hours since the start of the stay"):
        cg.read_events(rows((0.0, 1.0)), stays=stays(start=[47_000, 47_001]))


def test_an_end_without_a_time_of_day_is_the_end_of_that_day():
    events = cg.read_events(rows(), stays=stays(start="2031-01-01", end=["2031-01-02", "2031-01-02 00:00"]))
    assert [end - start for start, end in zip(hours_of(events, "start"), hours_of(events, "end"), strict=True)] == [
        48,
        24,
    ]


@pytest.mark.parametrize("sentinel", ["1900-01-01", "1970-01-01", "0001-01-01", "9999-12-31 23:59"])
def test_sentinel_dates_are_unknown_and_counted_in_rows_and_stays(sentinel):
    events = cg.read_events(rows(), stays=stays(start=["2031-01-01 07:00", sentinel]))
    assert events.stays["start"].isna().tolist() == [False, True]
    assert [count for note, count in events.ledger.notes.items() if note.startswith("starts of stays")] == [1]
    table = rows()
    table.loc[1, "time"] = sentinel
    events = cg.read_events(table, max_rejected=0.5)
    assert events.ledger.used == 5
    assert list(events.ledger.rejected) == ["sentinel date (such as 1900-01-01)"]
    assert seen(events) == [(0.0, 80.0), (2.0, 82.0)]


@pytest.mark.parametrize(
    ("sentinel", "options"), [("1970-01-01", {}), ("1970-01-01 00:00", {"timezone": "America/New_York"})]
)
def test_the_epoch_is_a_sentinel_in_every_table_as_a_date_alone_and_in_local_time(sentinel, options):
    """A time filled with 0 is written as 1970-01-01, whose end is a day later, and whose UTC hours are others."""
    of_stays = stays(start=["2031-01-01 07:00"] * 2, end=["2031-01-03 07:00", sentinel])
    of_outcomes = outcomes(death=[1, 1], died=[sentinel, "2031-01-02 09:00"])
    table = rows()
    table.loc[1, "time"] = sentinel
    events = cg.read_events(table, stays=of_stays, outcomes=of_outcomes, max_rejected=0.5, **options)
    assert events.stays["end"].isna().tolist() == [False, True]
    assert events.stays["died"].isna().tolist() == [True, False]
    assert events.ledger.rejected == {"sentinel date (such as 1900-01-01)": 1}
    assert sum("taken as unknown" in note for note in events.ledger.notes) == 2


@pytest.mark.parametrize(("units", "hours"), [({}, 90.0), ({"died": "minutes"}, 1.5), ({"died": "hours"}, 90.0)])
def test_times_of_outcomes_in_another_unit_than_those_of_the_extract_are_said(units, hours):
    """They are hours unless `units` says otherwise; where all other times are minutes, that may not be meant."""
    read = {"time_unit": "minutes", "units": units, "outcomes": outcomes(death=[1, 1], died=[90, 90])}
    events = cg.read_events(rows((0, 30, 60)), **read)
    assert events.stays["died"].tolist() == [hours] * 2
    task = {"name": "t", "outcome": "death", "outcome_time": "died", "window_hours": [0, 1], "horizon_hours": 100}
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        cg.select(events, cg.Task.from_dict(task), include_ineligible=True)
    assert [str(one.message)[:22] for one in shown] == ([] if units else ["died is taken in hours"])


def test_an_extract_that_was_shifted_to_1970_has_no_sentinels():
    table = rows(("1970-01-01 00:00", "1970-01-01 01:00"))
    assert cg.read_events(table).ledger.used == 4


def test_stays_that_contradict_themselves_are_counted():
    table = stays(start=["2031-01-01 07:00", "2028-01-01 07:00"], end=["2031-01-01 06:00", ""])
    notes = cg.read_events(rows(), stays=table).ledger.notes
    assert notes["stays that end before they start"] == 1
    assert notes["stays that begin more than a year before their first row"] == 1


# units, missing values


def test_units_hold_for_static_covariates():
    table = stays(weight=[180, 2000], height=[70, 72])
    events = cg.read_events(rows(), stays=table, units={"weight": "lb", "height": "in"})
    assert events.stays["admission_weight"].round(1).tolist()[0] == 81.6
    assert events.stays["height"].round(1).tolist() == [177.8, 182.9]
    assert events.ledger.notes["static values not used: admission_weight"] == 1


@pytest.mark.slow
def test_values_that_mean_missing_hold_in_every_table_and_by_variable():
    data = rows(value=[80, 999, 82, -1, 84, 85])
    table = stays(age=[999, 50])
    events = cg.read_events(data, stays=table, missing=[999, -1], outcomes=outcomes(death=[1, -1]))
    assert events.ledger.missing == 2
    assert events.stays["age"].isna().tolist() == [True, False]
    assert events.stays["death"].isna().tolist() == [False, True]
    text = rows(value=["80", "not done", "82", "83", "84", "85"])
    assert cg.read_events(text, missing="Not Done").ledger.missing == 1
    by_name = cg.read_events(rows(value=[60, 61, 62, 63, 64, 65]), missing={"heart_rate": 61, "glucose": 62})
    assert by_name.ledger.missing == 1
    assert seen(by_name)[1][1] == 62


@pytest.mark.parametrize("missing", [[None], {"glucose": [object()]}, {3: 4}, [True]])
def test_values_that_mean_missing_are_numbers_or_words(missing):
    with pytest.raises(ArgumentError, match="missing"):
        cg.read_events(rows(), missing=missing)


# outcomes


@pytest.mark.parametrize(
    "died", [[True, False], ["True", "FALSE"], ["yes", "No"], ["y", "n"], pd.array([True, False], dtype="boolean")]
)
def test_true_and_false_are_outcomes(died, tmp_path):
    table = outcomes(death=died)
    table.to_csv(tmp_path / "outcomes.csv", index=False)
    for given in (table, tmp_path / "outcomes.csv"):
        assert cg.read_events(rows(), outcomes=given).stays["death"].tolist() == [1.0, 0.0]


@pytest.mark.slow
def test_only_named_outcomes_are_auxiliary_targets_and_text_is_noted():
    table = outcomes(death=[0, 1], sofa=[4, 7], ward=["A", "B"], **{"Unnamed: 0": [0, 1]})
    task = cg.Task("t", "death", (0.0, 24.0))
    events = cg.read_events(rows(), outcomes=table)
    assert events.outcomes == ("death", "sofa", "Unnamed: 0")
    assert events.ledger.notes["column not used: ward (outcomes)"] == 2
    assert events.auxiliary_targets(task).empty
    named = cg.read_events(rows(), outcomes=table, outcomes_columns=["death", "SOFA"])
    assert named.outcomes == ("death", "sofa")
    assert list(named.auxiliary_targets(task)) == ["sofa"]
    assert named.ledger.notes["column not used: Unnamed: 0 (outcomes)"] == 2
    with pytest.raises(InputError, match="the columns saps"):
        cg.read_events(rows(), outcomes=table, outcomes_columns=["death", "saps"])
    text = cg.read_events(rows(), outcomes=table, outcomes_columns=["death", "ward"])  # classes of a multiclass task
    assert text.stays["ward"].tolist() == ["A", "B"]
    assert text.auxiliary_targets(task).empty
    with pytest.raises(TaskError, match="Expected numbers in ward; got text"):
        cg.select(text, cg.Task("t", "ward", (0.0, 24.0)))


def test_one_cohort_table_gives_its_static_covariates_once():
    cohort = stays(age=[70.0, 80.0], height=[170.0, 180.0], death=[0, 1])
    events = cg.read_events(rows(), stays=cohort, outcomes=cohort)
    assert [variable.name for variable in events.static_variables] == ["age", "height"]
    assert events.outcomes == ("death",)
    assert not [note for note in events.ledger.notes if "not used" in note]  # either table uses it


@pytest.mark.slow
def test_dates_among_outcomes_become_hours_since_the_start():
    labels = outcomes(death=[1, 0], death_time=["2031-01-02 06:00", ""], discharged=["2031-01-02", "2031-01-03"])
    events = cg.read_events(rows(), stays=stays(start="2031-01-01 06:00"), outcomes=labels)
    assert events.stays["death_time"].tolist()[0] == 24.0
    assert np.isnan(events.stays["death_time"].tolist()[1])
    assert events.stays["discharged"].tolist() == [42.0, 66.0]  # the ends of these days
    without = cg.read_events(rows(), outcomes=labels)
    assert without.stays["death_time"].tolist()[0] == 22.0  # from the first row on
    with pytest.raises(InputError, match="one kind of time in all tables"):
        cg.read_events(rows((0.0, 1.0)), outcomes=labels)


def test_times_of_outcomes_may_have_a_unit():
    events = cg.read_events(rows(), outcomes=outcomes(death=[1, 0], after=[2, 3]), units={"after": "days"})
    assert events.stays["after"].tolist() == [48.0, 72.0]


# the same kinds, elsewhere


def test_a_named_index_is_a_column_of_every_table():
    events = cg.read_events(
        rows().set_index(["patient_id", "stay_id"]),
        stays=stays(start="2031-01-01 06:00").set_index("stay_id"),
        outcomes=outcomes(death=[0, 1]).set_index("stay_id"),
    )
    assert seen(events)[0] == (2.0, 80.0)
    assert events.stays["death"].tolist() == [0, 1]


@pytest.mark.slow
def test_names_for_all_tables_hold_where_they_have_a_meaning():
    table = stays(t="2031-01-01 06:00")
    events = cg.read_events(rows().rename(columns={"time": "t"}), stays=table, columns={"start": "t", "time": "t"})
    assert seen(events)[0] == (2.0, 80.0)
    own = cg.read_events(
        rows().rename(columns={"time": "start"}), stays=stays(start="2031-01-01 06:00"), columns={"time": "start"}
    )
    assert seen(own)[0] == (2.0, 80.0)
    other = stays(start="2031-01-01 06:00").rename(columns={"stay_id": "visit"})
    assert seen(cg.read_events(rows(), stays=other, columns={"stay_id": "visit"}))[0] == (2.0, 80.0)


def test_one_column_has_one_name_but_for_identifiers():
    with pytest.raises(InputError, match="stays: Expected one name for the column a; got start and end"):
        cg.read_events(rows(), stays=stays(a="2031-01-01 06:00"), columns={"start": "a", "end": "a"})
    wide = pd.DataFrame({"patient_id": ["1", "2"], "time": 0.0, "x": [80, 81]})
    with pytest.raises(InputError, match="one name for the column x"):
        cg.read_events(wide, source="wide", columns={"heart_rate": "x", "map": "x"})
    table = pd.DataFrame({"id": ["1", "2"], "start": "2031-01-01 06:00"})
    events = cg.read_events(
        rows().drop(columns="stay_id"), stays=table, columns={"stays": {"patient_id": "id", "stay_id": "id"}}
    )
    assert events.stays["stay_id"].tolist() == ["1", "2"]


@pytest.mark.parametrize("sentinel", ["1900-01-01", "9999-12-31 23:59"])
def test_sentinel_dates_of_outcomes_are_unknown_and_counted(sentinel):
    events = cg.read_events(rows(), outcomes=outcomes(death=[1, 0], died=["2031-01-01 09:00", sentinel]))
    assert events.stays["died"].tolist()[0] == 1.0
    assert np.isnan(events.stays["died"].tolist()[1])
    assert [count for note, count in events.ledger.notes.items() if note.startswith("died (outcomes)")] == [1]


def test_a_repeated_header_is_counted_in_every_table_and_another_one_refused(tmp_path):
    (tmp_path / "stays.csv").write_text("patient_id,stay_id,age\n1,11,70\npatient_id,stay_id,age\n2,12,80\n")
    (tmp_path / "outcomes.csv").write_text("stay_id,death\n11,1\nstay_id,icu_death\n12,0\n")
    events = cg.read_events(rows(), stays=tmp_path / "stays.csv")
    assert events.stays["stay_id"].tolist() == ["11", "12"]
    assert events.ledger.notes["repeated header (stays)"] == 1
    with pytest.raises(InputError, match=r"outcomes, outcomes\.csv, row 3: Expected one header"):
        cg.read_events(rows(), outcomes=tmp_path / "outcomes.csv")


@pytest.mark.slow
def test_a_static_variable_that_loses_half_of_its_values_stops_the_load_and_the_unit_is_named():
    ids = [str(i) for i in range(20)]
    data = pd.DataFrame({"patient_id": ids, "time": 0.0, "variable": "heart_rate", "value": 80})
    table = pd.DataFrame({"patient_id": ids, "height": np.linspace(1.5, 1.9, 20)})
    with pytest.raises(InputError, match=r"stays, DataFrame, row 0, column height.*fit m.*units=\{'height': 'm'\}"):
        cg.read_events(data, stays=table)
    assert "height" in cg.read_events(data, stays=table, allow=["height"]).stays
    assert cg.read_events(data, stays=table, units={"height": "m"}).stays["height"].between(149, 191).all()


@pytest.mark.slow
def test_missing_names_columns_too_in_any_letter_case_and_unknown_names_are_refused():
    wide = pd.DataFrame({"patient_id": ["1", "2", "3"], "time": 0.0, "HF": [80, -9, 81]})
    events = cg.read_events(wide, source="wide", columns={"heart_rate": "HF"}, missing={"hf": -9})
    assert events.ledger.missing == 1
    assert cg.read_events(rows(value=[80, -9, 82, 83, 84, 85]), missing={"Heart_Rate": -9}).ledger.missing == 1
    assert cg.read_events(rows(value=[80, -9, 82, 83, 84, 85]), missing={"value": -9}).ledger.missing == 1
    labels = outcomes(exitus=[0, 9])
    events = cg.read_events(rows(), outcomes=labels, columns={"death": "exitus"}, missing={"exitus": 9})
    assert events.stays["death"].isna().tolist() == [False, True]
    for wrong in ({"heart_rat": -9}, [np.inf]):
        with pytest.raises(ArgumentError, match="missing"):
            cg.read_events(rows(), missing=wrong)


def test_words_for_missing_hold_among_times_of_stays():
    table = stays(start=["2031-01-01 06:00", "unknown"], end=["2031-01-02", "open"])
    events = cg.read_events(rows(), stays=table, missing={"start": "Unknown", "end": "open"})
    assert events.stays[["start", "end"]].isna().sum().tolist() == [1, 1]


def test_unused_columns_of_rows_and_outcomes_are_counted():
    events = cg.read_events(rows(Ward=["A", None] * 3), outcomes=outcomes(death=[0, 1], end=["left", ""]))
    assert events.ledger.notes["column not used: Ward"] == 3
    assert events.ledger.notes["column not used: end (outcomes)"] == 1
    with pytest.raises(InputError, match="outcomes of other names"):
        cg.read_events(rows(), outcomes=outcomes(death=[0, 1], end=1), outcomes_columns=["end"])


def test_a_stream_may_be_both_stays_and_outcomes():
    stream = pa.Table.from_pandas(stays(age=[70, 80], death=[0, 1])).to_reader()
    assert cg.read_events(rows(), stays=stream, outcomes=stream).stays["death"].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["stays", "outcomes"])
def test_errors_of_a_table_name_it(name):
    with pytest.raises(InputError, match=f"{name}, DataFrame: Expected one type in each column"):
        cg.read_events(rows(), **{name: stays(death=pd.Series([1, "a"], dtype=object))})


def test_infinite_outcomes_are_refused():
    with pytest.raises(InputError, match="row 0, column death"):
        cg.read_events(rows(), outcomes=outcomes(death=[np.inf, 0]))


def test_a_unit_of_a_variable_leaves_an_outcome_of_its_name_and_one_of_nothing_is_refused():
    events = cg.read_events(rows(), outcomes=outcomes(death=[1, 0], lactate=[2, 3]), units={"lactate": "mg/dL"})
    assert events.stays["lactate"].tolist() == [2, 3]
    with pytest.raises(InputError, match="a variable or an outcome afte,"):
        cg.read_events(rows(), outcomes=outcomes(death=[1, 0], after=[2, 3]), units={"afte": "days"})


def test_dates_among_outcomes_count_from_the_first_event_as_the_window_does():
    """A coded event before the first measurement starts a stay without a start."""
    coded = rows(("2031-01-01 05:00",)).assign(variable="diagnosis", value=None, code="ICD10:I10")
    table = pd.concat([rows().assign(code=None), coded])
    events = cg.read_events(table, outcomes=outcomes(death=[1, 0], death_time="2031-01-02 05:00"))
    assert events.stays["death_time"].tolist() == [24.0, 24.0]
    assert seen(events)[0][0] == 3.0
