"""Where it says the trouble is: file, row and column of planted errors, in every form of a table."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pandas as pd
import pytest

import clinicalgru as cg

WRONG = {  # reason -> column, what is planted there
    "value is not a number": ("value", "12,5"),
    "time not readable": ("time", "31.01.2031"),
    "unknown variable": ("variable", "hart_rate"),
    "unknown unit": ("unit", "furlong"),
    "no identifier": ("patient_id", " "),
    "available_at not readable": ("available_at", "later"),
    "implausible": ("value", "1e9"),
    "no time": ("time", ""),
}
BROKEN = {"a delimiter more": b"8,8", "a quote that stays open": b'"88', "another encoding": b"8\xb58"}
FORMS = ("csv", "csv.gz", "parquet", "frame")
COLUMNS = ["note", "patient_id", "stay_id", "time", "variable", "value", "unit", "available_at"]


def rows_of(count: int) -> list[list[str]]:
    start = pd.Timestamp("2031-01-01")
    times = [str(start + pd.Timedelta(hours=i)) for i in range(count)]
    return [["", f"P{i % 3}", f"S{i % 3}", times[i], "heart_rate", "88", "/min", times[i]] for i in range(count)]


def written(rows: list[list[str]], chance: random.Random) -> tuple[bytes, list[int]]:
    """A CSV with notes over several lines, blank lines, perhaps a byte order mark, CRLF; and the row of each record."""
    end = chance.choice(["\n", "\r\n"])
    text, places, row = ",".join(COLUMNS) + end, [], 1
    for cells in rows:
        if chance.random() < 0.15:
            blank = chance.randrange(1, 4)
            text, row = text + end * blank, row + blank
        note = chance.choice(["", '"a ""quoted"" word"', f'"two{end}lines"', f'"three, {end}{end}lines"', "plain"])
        text, row = text + ",".join([note, *cells[1:]]) + end, row + 1
        places.append(row)
    return chance.choice([b"", b"\xef\xbb\xbf"]) + text.encode(), places


def planted(chance: random.Random, count: int) -> tuple[list[list[str]], dict[str, int]]:
    """Rows with one error of each reason, and the position of each."""
    rows = rows_of(count)
    at = dict(zip(WRONG, chance.sample(range(count), len(WRONG)), strict=True))
    for reason, i in at.items():
        column, cell = WRONG[reason]
        rows[i][COLUMNS.index(column)] = f'"{cell}"' if "," in cell else cell
    return rows, at


def stored(rows: list[list[str]], form: str, folder: Path, chance: random.Random) -> tuple[object, str, list[int]]:
    """The table in a form, what messages call it, and the row of each record."""
    text, places = written(rows, chance)
    if form.startswith("csv"):
        path = folder / f"labs.{form}"
        path.write_bytes(gzip.compress(text) if form == "csv.gz" else text)
        return path, path.name, places
    table = pd.DataFrame([[cell.strip('"') for cell in row] for row in rows], columns=COLUMNS)
    if form == "frame":
        return table, "DataFrame", list(range(len(rows)))
    table.to_parquet(folder / "labs.parquet", row_group_size=chance.randrange(5, 50))
    return folder / "labs.parquet", "labs.parquet", list(range(len(rows)))


def right_places(random_state: int, folder: Path) -> int:
    """How many of the errors planted in one table are named at their row and column."""
    chance = random.Random(random_state)
    rows, at = planted(chance, chance.randrange(20, 90))
    data, name, places = stored(rows, FORMS[random_state % 4], folder, chance)
    findings = cg.read_events(data, max_rejected=1.0).ledger.findings
    said = dict(zip(findings["reason"], findings["where"], strict=True))
    right = {reason: f"{name}, row {places[i]}, column {WRONG[reason][0]}" for reason, i in at.items()}
    assert said == right
    return len(right)


def right_row_of_a_broken_file(random_state: int, folder: Path) -> int:
    """1 where a cell that breaks the file itself is named at its row."""
    chance = random.Random(1000 + random_state)
    rows = rows_of(chance.randrange(20, 90))
    text, places = written(rows, chance)
    i = chance.randrange(len(rows))
    mark = f"{rows[i][3]},heart_rate,88".encode()
    what = BROKEN[list(BROKEN)[random_state % 3]]
    assert text.count(mark) == 1
    broken = text.replace(mark, mark[:-2] + what)
    path = folder / ("labs.csv.gz" if random_state % 2 else "labs.csv")
    path.write_bytes(gzip.compress(broken) if random_state % 2 else broken)
    with pytest.raises(cg.ClinicalGRUError) as refused:
        cg.read_events(path)
    assert refused.value.where == f"{path.name}, row {places[i]}", list(BROKEN)[random_state % 3]
    return 1


@pytest.mark.slow
def test_planted_errors_are_named_at_their_row_and_column(tmp_path):
    assert sum(right_places(random_state, tmp_path) for random_state in range(8)) == 64
    assert sum(right_row_of_a_broken_file(random_state, tmp_path) for random_state in range(12)) == 12


@pytest.mark.slow
@pytest.mark.lab
def test_500_of_500_planted_errors_are_named_at_their_row_and_column(tmp_path):
    whole = sum(right_places(random_state, tmp_path) for random_state in range(100, 150))
    assert whole + sum(right_row_of_a_broken_file(random_state, tmp_path) for random_state in range(100, 200)) == 500


def test_a_row_is_a_record_as_a_spreadsheet_shows_it(tmp_path):
    (tmp_path / "a.csv").write_bytes(
        b'patient_id,time,variable,value,note\n\n1,0,heart_rate,80,"two\nlines"\n1,1,heart_rate,?,\n'
    )
    findings = cg.read_events(tmp_path / "a.csv", max_rejected=1.0).ledger.findings
    assert findings["where"].tolist() == ["a.csv, row 4, column value"]
