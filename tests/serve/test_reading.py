"""A bundle knows how its extract was read, and one YAML file describes an extract for every command."""

import inspect
import json

import pandas as pd
import pytest
import yaml

import clinicalgru as cg
from clinicalgru.cli.main import main
from clinicalgru.cli.options import READING_OPTIONS, parse_reading
from clinicalgru.data.reading import ARGUMENTS, arguments_like, load_reading
from clinicalgru.errors import InputError

TASK = cg.Task.load("in_hospital_mortality")
NAMES = {"patient_id": "MRN", "time": "min", "stays": {"end": "left", "age": "years"}, "outcomes": {"died": "DIED"}}


@pytest.fixture(scope="module")
def cohort():
    """An extract in minutes under names of its own: rows, stays, outcomes."""
    cohort = cg.simulate(80, random_state=2)
    start = cohort.stays.set_index("stay_id")["start"]
    rows = cohort.measurements.drop(columns="available_at", errors="ignore")
    since = (pd.to_datetime(rows["time"]) - pd.to_datetime(rows["stay_id"].map(start))).dt.total_seconds() / 60
    rows = rows.assign(time=since).rename(columns={"patient_id": "MRN", "time": "min"})
    ends = (pd.to_datetime(cohort.stays["end"]) - pd.to_datetime(cohort.stays["start"])).dt.total_seconds() / 60
    stays = cohort.stays.assign(start=0, end=ends).rename(columns={"patient_id": "MRN", "end": "left", "age": "years"})
    outcomes = cohort.outcomes.rename(columns={"patient_id": "MRN", "in_hospital_death": "DIED"})
    return rows, stays, outcomes


@pytest.fixture(scope="module")
def model(cohort):
    rows, stays, outcomes = cohort
    names = NAMES | {"outcomes": {"in_hospital_death": "DIED"}}
    events = cg.read_events(
        rows,
        stays=stays,
        outcomes=outcomes,
        columns=names,
        time_unit="minutes",
        missing={"glucose": [999]},
        outcomes_columns=["in_hospital_death"],
    )
    return cg.SummaryBaseline("logistic regression").fit(cg.select(events, TASK))


def test_the_manifest_holds_the_arguments_and_no_path(model, tmp_path):
    manifest = json.loads((cg.save(model, tmp_path / "bundle") / "manifest.json").read_text())
    reading = manifest["trained_on"]["reading"]
    assert reading["time_unit"] == "minutes"
    assert reading["columns"]["data"] == {"patient_id": "MRN", "time": "min"}
    assert reading["columns"]["stays"] == {"patient_id": "MRN", "end": "left", "age": "years"}
    assert reading["missing"] == {"glucose": ["999"]}
    assert reading["tables"] == ["data", "outcomes", "stays"]
    assert reading["with_ends"]
    assert "age" in reading["static_variables"]


@pytest.mark.slow
def test_a_bundle_reads_a_new_extract_as_it_read_its_own(model, cohort, tmp_path):
    rows, stays, _ = cohort
    bundle = cg.save(model, tmp_path / "bundle")
    named = {"patient_id": "MRN", "time": "min", "stays": NAMES["stays"]}
    expected = cg.score(model, rows, stays=stays, columns=named, time_unit="minutes")
    again = cg.score(bundle, rows, stays=stays)
    pd.testing.assert_frame_equal(again.drop(columns="scored_at"), expected.drop(columns="scored_at"))
    assert (expected["status"] == "scored").any()
    assert (expected["reason"] == "the stay ended before the prediction").any()


@pytest.mark.slow
def test_an_extract_without_the_tables_of_training_is_refused_unless_accepted(model, cohort):
    rows, stays, _ = cohort
    with pytest.raises(InputError, match="ends of stays, as in training"):
        cg.score(model, rows)
    with pytest.raises(InputError, match="a column left"):
        cg.score(model, rows, stays=stays.drop(columns="left"))
    without = stays.drop(columns="left")
    names = {"patient_id": "MRN", "time": "min", "age": "years"}
    with pytest.raises(InputError, match="ends of stays, as in training"):
        cg.score(model, rows, stays=without, columns=names)
    for tables in ({}, {"stays": without}):
        bare = cg.score(model, rows, **tables, accept_differences=True)
        assert (bare["status"] == "scored").sum() == len(stays)


@pytest.mark.slow
def test_patients_who_are_all_still_there_are_scored(model, cohort):
    rows, stays, _ = cohort
    assert (cg.score(model, rows, stays=stays.assign(left=None))["status"] == "scored").any()


def test_stays_without_any_static_variable_are_refused(model, cohort):
    rows, stays, _ = cohort
    bare = stays[["MRN", "stay_id", "start", "left"]]
    names = {"patient_id": "MRN", "time": "min", "stays": {"end": "left"}}
    with pytest.raises(InputError, match="static variables, as in training"):
        cg.score(model, rows, stays=bare, columns=names)


def test_another_source_uses_nothing_of_the_record():
    record = {"source": "long", "time_unit": "minutes", "columns": {"data": {"time": "min"}}}
    assert arguments_like(record, {"source": "wide"}) == {"source": "wide"}
    assert arguments_like(record, {"time_unit": "hours"})["time_unit"] == "hours"


@pytest.fixture
def described(cohort, tmp_path):
    """The extract as files, with a YAML file that describes it."""
    rows, stays, outcomes = cohort
    for name, table in (("rows", rows), ("stays", stays), ("outcomes", outcomes)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    about = {
        "time_unit": "minutes",
        "columns": NAMES | {"outcomes": {"in_hospital_death": "DIED"}},
        "stays": "stays.csv",
        "outcomes": "outcomes.csv",
    }
    (tmp_path / "extract.yaml").write_text(yaml.safe_dump(about))
    return tmp_path


@pytest.mark.slow
def test_one_yaml_file_describes_an_extract_for_python_and_every_command(described, capsys):
    events = cg.read_events(described / "rows.csv", **load_reading(described / "extract.yaml"))
    options = ["--reading", str(described / "extract.yaml"), "--json", "--exact"]
    with pytest.raises(SystemExit) as ended:
        main(["check", str(described / "rows.csv"), "--task", "in_hospital_mortality", *options])
    shown = json.loads(capsys.readouterr().out)
    assert not ended.value.code
    assert shown["ledger"]["used"] == events.ledger.used
    assert "age" in events.stays


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tim_unit: minutes", "the key tim_unit"),
        ("- 1", "another kind of YAML"),
        ("a: [", "line 2: Expected YAML"),
        ("[" * 100_000, "YAML of a few levels"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused(tmp_path, text, message):
    (tmp_path / "extract.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_reading(tmp_path / "extract.yaml")
    with pytest.raises(InputError, match="a readable YAML file"):
        load_reading(tmp_path / "none.yaml")


def test_options_of_the_command_line_reach_read_events(described, capsys):
    options = ["--stays", described / "stays.csv", "--outcomes", described / "outcomes.csv", "--time-unit", "minutes"]
    options += ["--columns", "patient_id=MRN", "--columns", "data:time=min", "--columns", "stays:end=left"]
    options += ["--outcomes-columns", "DIED", "--missing", "glucose=999", "--missing", "glucose=-1", "--delimiter", ","]
    with pytest.raises(SystemExit) as ended:
        main(["check", *map(str, [described / "rows.csv", *options]), "--json"])
    shown = capsys.readouterr()
    assert not ended.value.code, shown.err
    assert "column not used: years (stays)" in shown.out


def test_what_may_be_lost_and_codes_of_events_are_options_and_codes_are_kept(tmp_path):
    reading = parse_reading({"allow": ["height"], "event_codes": ["death=EXITUS", "admission=A", "admission=B"]})
    assert reading == {"allow": ["height"], "event_codes": {"death": ["EXITUS"], "admission": ["A", "B"]}}
    (tmp_path / "extract.yaml").write_text("allow: all\nevent_codes: {death: [EXITUS]}\n")
    assert load_reading(tmp_path / "extract.yaml") == {"allow": "all", "event_codes": {"death": ["EXITUS"]}}
    data = pd.DataFrame({"patient_id": ["1"], "time": [0.0], "variable": ["heart_rate"], "value": [80]})
    record = cg.read_events(data, event_codes={"death": "EXITUS"}, allow="all").reading
    assert record["event_codes"] == {"death": ["EXITUS"]}
    assert "allow" not in record
    assert arguments_like(record, {})["event_codes"] == {"death": ["EXITUS"]}


def test_every_reading_argument_is_an_option():
    arguments = set(inspect.signature(cg.read_events).parameters) - {"data"}
    assert set(READING_OPTIONS) - {"reading"} == arguments == set(ARGUMENTS)
