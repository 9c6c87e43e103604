"""YAML files of any kind hold plain values, or are refused by one clear error."""

import pytest

import clinicalgru as cg
from clinicalgru.data.dictionary.safe_yaml import load_yaml
from clinicalgru.errors import InputError, TaskError


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 1000 + "]" * 1000,
        "a: &a [1]\nb: [" + ", ".join(["*a"] * 60) + "]",
        "a: !!int abc",
        "a: !!bool maybe",
        "a: !!set [1]",
        "a: " + "9" * 5000,
        "a: 2031-13-45",
        "? [a]\n: 1",
        "a: 1\na: 2",
        "a: !!python/object/apply:os.getcwd []",
    ],
)
def test_what_is_no_plain_yaml_is_refused(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml"):
        load_yaml(tmp_path / "x.yaml", error=InputError)


def test_numbers_are_what_they_look_like(tmp_path):
    (tmp_path / "x.yaml").write_text("[024, 24:00, 1e3, -1.5, .5, 7, 0.0, 1_000, true]\n")
    assert load_yaml(tmp_path / "x.yaml", error=InputError) == [24, "24:00", 1000.0, -1.5, 0.5, 7, 0.0, "1_000", True]


@pytest.mark.parametrize("hours", ['"48"', "[0, yes]", "{0: a, 48: b}", "[0, .nan]", "[0, 48]\nwindow_hours: [0, 24]"])
def test_hours_of_a_task_are_numbers(tmp_path, hours):
    (tmp_path / "t.yaml").write_text(f"name: t\noutcome: death\nwindow_hours: {hours}\n")
    with pytest.raises(TaskError):
        cg.Task.load(tmp_path / "t.yaml")


def test_words_that_yaml_1_1_took_for_true_false_or_a_merge_are_text(tmp_path):
    (tmp_path / "x.yaml").write_text("yes: no\non: off\n<<: y\nTrue: false\n")
    assert load_yaml(tmp_path / "x.yaml", error=InputError) == {"yes": "no", "on": "off", "<<": "y", True: False}


@pytest.mark.parametrize("limits", ["[true, 5]", "['0', '5']", "'05'", "5", "{0: 5}", "[0, yes]"])
def test_limits_of_a_variable_are_two_numbers(tmp_path, limits):
    (tmp_path / "v.yaml").write_text(f"procalcitonin:\n  unit: ug/L\n  plausible: {limits}\n")
    with pytest.raises(cg.ClinicalGRUError, match="procalcitonin, plausible"):
        cg.Dictionary.load(tmp_path / "v.yaml")


@pytest.mark.parametrize(
    "line",
    ["name: ~", "title: [a, b]", "title: true", "title: !!binary aGVsbG8=", "outcome: [died, ~]", "outcome: {a: b}"],
)
def test_what_is_no_text_never_becomes_one(tmp_path, line):
    fields = {"name": "name: a", "outcome": "outcome: died", "window_hours": "window_hours: [0, 24]"}
    fields[line.partition(":")[0]] = line
    (tmp_path / "task.yaml").write_text("\n".join(fields.values()))
    with pytest.raises(TaskError, match=r"as text|each outcome"):
        cg.Task.load(tmp_path / "task.yaml")


def test_a_name_of_digits_is_the_name_that_is_written(tmp_path):
    """The code 012 of an extract is not 12; a number that is written as Python writes it stays one."""
    path = tmp_path / "names.yaml"
    path.write_text("012: a\n1e3: b\n+5: c\n7: d\n2.5: e\nin: {007: f}\nvalue: 024\n")
    content = load_yaml(path, error=cg.ClinicalGRUError)
    assert content == {"012": "a", "1e3": "b", "+5": "c", 7: "d", 2.5: "e", "in": {"007": "f"}, "value": 24}
