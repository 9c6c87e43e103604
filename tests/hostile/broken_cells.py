"""Variants broken in rows, cells and columns: quotes, delimiters, numbers, dates, headers, order."""

from __future__ import annotations

import io
import random
import re

import pandas as pd
from hostile.pieces import at, cells_of, column_of, joined, lines_of, table_of, text_of


def quote(chance: random.Random, text: bytes, i: int) -> bytes:
    return at(text, chance.randrange(len(text)), [b'"', b'""', b'"""', b'"'][i % 4])


def quoted(chance: random.Random, text: bytes, i: int) -> dict:
    cells, wrap = cells_of(text), [b'"', b'""', b"'", b"`"][i % 4]
    for row in cells if i % 8 < 4 else [chance.choice(cells)]:
        row[:] = [wrap + cell + wrap for cell in row]
    return {"name": "extract.csv", "content": table_of(cells), "equal": wrap == b'"'}


def two_quotes(chance: random.Random, text: bytes, i: int) -> bytes:
    first, second = sorted(chance.sample(range(len(text)), 2))
    return at(at(text, second, b'"'), first, b'"')


def delimiters(chance: random.Random, text: bytes, i: int) -> dict:
    mark, cells = [b";", b"\t", b"|", b":", b" ", b";;", b", "][i % 7], cells_of(text)
    if i % 2 and mark not in (b":", b" "):  # all of them
        return {"name": "extract.csv", "content": table_of(cells, mark), "equal": mark in (b";", b"\t", b"|")}
    row = chance.randrange(1, len(cells))
    lines = lines_of(text)
    lines[row] = lines[row].replace(b",", mark)
    return {"name": "extract.csv", "content": joined(lines), "equal": mark == b", "}


def comma_more(chance: random.Random, text: bytes, i: int) -> bytes:
    return at(text, chance.randrange(len(text)), b",")


def comma_less(chance: random.Random, text: bytes, i: int) -> bytes:
    places = [found.start() for found in re.finditer(b",", text)]
    return at(text, chance.choice(places), b"", instead=1)


def comma_last(chance: random.Random, text: bytes, i: int) -> dict:
    lines = lines_of(text)
    rows = [range(len(lines)), range(1, len(lines)), [chance.randrange(1, len(lines))]][i % 3]
    for row in rows:
        lines[row] += b","
    return {"name": "extract.csv", "content": joined(lines), "equal": True}


NUMBERS = ["1e400", "-1e400", "inf", "-inf", "0x10", "1_000", "８８", "٨٨", "--88", "+-88", "8 8", "88,4", "<88", ">88"]
NUMBERS += [
    "88%",
    "88 /min",
    "1,088.4",
    "1'088.4",
    "1\u00a0088,4",
    "88..4",
    "88.4.1",
    "8\u200b8",
    "\u221288",
    "1e",
    "e5",
]
NUMBERS += [
    "true",
    "#REF!",
    "#N/A",
    "=8+8",
    "88-90",
    "88/90",
    "1.088,4",
    "eighty",
    "½",
    "8e8e8",
    "0b11",
    "1d5",
    "infinity",
]


def number(chance: random.Random, text: bytes, i: int) -> bytes:
    cells, column = cells_of(text), column_of(text, b"value")
    row = chance.randrange(1, len(cells))
    cells[row][column] = b'"' + NUMBERS[i % len(NUMBERS)].encode() + b'"'
    return table_of(cells)


def decimals(chance: random.Random, text: bytes, i: int) -> bytes:
    cells, column = cells_of(text), column_of(text, b"value")
    for row in cells[1:]:
        comma = row[column].replace(b".", b",")
        row[column] = [comma, b'"' + comma + b'"', comma, b"1'0" + row[column], b'"1,0' + row[column] + b'"'][i % 5]
    if i % 5 == 2:
        return table_of(cells, b";")
    return table_of(cells)


DATES = ["17.03.2031 10:20", "03/17/2031 10:20", "17/03/2031 10:20", "17-Mar-2031 10:20", "2031/03/17 10:20"]
DATES += ["17. März 2031 10:20", "2031-3-17 10:20", "2031-17-03 10:20", "2031-03-17 10.20", "2031-03-17 10:20 PM"]
DATES += ["2031-02-30 10:20", "2031-03-17 25:20", "2031-03-17 10:61", "1931-03", "20310317", "2031-03-17T10:20Z"]
DATES += ["2031-03-17 10:20+02:00", "2031-03-17 10:20+99", "47928.43", "tomorrow", "２０３１-03-17 10:20", "2031-W12-1"]
DATES += ["0000-00-00 00:00", "31-03-17 10:20", "2031-03-17 10:20:61", "12031-03-17 10:20"]


def date(chance: random.Random, text: bytes, i: int) -> bytes:
    cells, column = cells_of(text), column_of(text, [b"time", b"available_at"][i % 2])
    wrong = DATES[i % len(DATES)].encode()
    if b"T" in wrong or b"+02" in wrong:  # in a few rows only: throughout, it would be right
        i = 0
    for row in chance.sample(range(1, len(cells)), [1, 3, len(cells) - 1][i % 3]):
        cells[row][column] = wrong
    return table_of(cells)


def order(chance: random.Random, text: bytes, i: int) -> bytes:
    """Some dates as year, day, month; one of them with a day above 12, without which nobody could tell."""
    cells, column = cells_of(text), column_of(text, b"time")
    late = [row for row in range(1, len(cells)) if cells[row][column][8:10] > b"12"]
    rows = {chance.choice(late), *chance.sample(range(1, len(cells)), chance.randrange(1, len(cells)))}
    for row in rows:
        for place in (column, column_of(text, b"available_at")):
            cells[row][place] = re.sub(rb"(\d{4})-(\d\d)-(\d\d)", rb"\1-\3-\2", cells[row][place])
    return table_of(cells)


def columns(chance: random.Random, text: bytes, i: int) -> dict:
    table = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
    needed, equal = ["patient_id", "time", "variable", "value"], False
    form = i % 9
    if form == 0:
        table, equal = table[chance.sample(list(table), len(table.columns))], True
    elif form == 1:
        table, equal = table.assign(cohort="CANARYW", note="a, b; c"), True
    elif form == 2:
        table = table.drop(columns=chance.choice(needed))
    elif form == 3:
        table = pd.concat([table, table[[chance.choice(list(table))]]], axis=1)
    elif form == 4:
        name = chance.choice(needed)
        table = table.rename(columns={name: chance.choice([name + "s", name.upper() + "_", "", "x", "?"])})
    elif form == 5:
        table, equal = table.rename_axis("").reset_index(), True
    elif form == 6:
        table = table.rename(columns={"value": "time", "time": "value"})
    elif form == 7:
        table = table.rename(columns={"variable": "patient_id", "patient_id": "variable"})
    else:
        table = table.set_axis(["Value", *table.columns[1:]], axis=1)
    return {"name": "extract.csv", "content": text_of(table), "equal": equal}


def header(chance: random.Random, text: bytes, i: int) -> dict:
    lines = lines_of(text)
    again = chance.randrange(2, len(lines))
    forms = [lines[1:], [*lines[:again], lines[0], *lines[again:]], [lines[0], *lines], [b"", *lines]]
    forms += [[b"# a comment", *lines], [b"," * 6, *lines[1:]], [lines[0]], [lines[0].replace(b",", b"\t"), *lines[1:]]]
    forms += [
        [lines[0].upper(), *lines[1:]],
        [lines[0].replace(b"t", b"\xc3\x28"), *lines[1:]],
        [b'"' + lines[0], *lines[1:]],
    ]
    forms += [[lines[0] + b"," + b"x" * 1_500_000, *lines[1:]], [lines[0] + b",", *lines[1:]], lines[:1] * 4]
    form = i % len(forms)
    return {"name": "extract.csv", "content": joined(forms[form]), "shorter": form in (6, 13)}


def unseen(chance: random.Random, text: bytes, i: int) -> dict:
    marks = [" ", "  ", "\u00a0", "\u2007", "\u202f", "\u200b", "\u2060", "\t"]
    cells, mark = cells_of(text), marks[i % len(marks)].encode()
    for row in cells[1:]:
        column = chance.randrange(len(row))
        row[column] = mark + row[column] if chance.random() < 0.5 else row[column] + mark
    return {"name": "extract.csv", "content": table_of(cells), "equal": True}


def blank_lines(chance: random.Random, text: bytes, i: int) -> dict:
    lines = lines_of(text)
    for _ in range(chance.randrange(1, 6)):
        lines.insert(chance.randrange(1, len(lines) + 1), b"")
    end = [b"\n", b"\r\n"][i % 2]
    return {"name": "extract.csv", "content": joined(lines, end), "equal": True}


def blank_cells(chance: random.Random, text: bytes, i: int) -> bytes:
    lines = lines_of(text)
    lines.insert(
        chance.randrange(1, len(lines) + 1), [b"," * 6, b'""', b" ", b",", b"," * 9, b'"",' * 6 + b'""'][i % 6]
    )
    return joined(lines)


def units(chance: random.Random, text: bytes, i: int) -> dict:
    same = text.decode().replace("µ", "\u03bc")
    forms = [(same, True), (text.decode().replace("µ", "u"), True), (text.decode().replace("µ", "?"), False)]
    forms += [(text.decode().replace("µ", "\ufffd"), False), (text.decode().replace("°C", "\u2103"), False)]
    forms += [(text.decode().replace("µ", "m\u200b"), False), (text.decode().replace("µmol", "µ mol"), False)]
    content, equal = forms[i % len(forms)]
    return {"name": "extract.csv", "content": content.encode(), "equal": equal}


def exchanged(chance: random.Random, text: bytes, i: int) -> bytes:
    cells = cells_of(text)
    row = cells[chance.randrange(1, len(cells))]
    one, two = [("patient_id", "variable"), ("time", "value"), ("variable", "value"), ("unit", "variable")][i % 4]
    a, b = column_of(text, one.encode()), column_of(text, two.encode())
    row[a], row[b] = row[b], row[a]
    return table_of(cells)


def shifted(chance: random.Random, text: bytes, i: int) -> bytes:
    cells = cells_of(text)
    for row in cells[1:] if i % 2 else [cells[chance.randrange(1, len(cells))]]:
        row[:] = row[1:] + row[:1] if i % 4 < 2 else row[-1:] + row[:-1]
    return table_of(cells)


def doubled(chance: random.Random, text: bytes, i: int) -> dict:
    lines = lines_of(text)
    if i % 2:
        return {"name": "extract.csv", "content": joined([*lines, *lines[1:]]), "equal": True}
    return {
        "name": "extract.csv",
        "content": joined([lines[0], *chance.sample(lines[1:], len(lines) - 1)]),
        "equal": True,
    }
