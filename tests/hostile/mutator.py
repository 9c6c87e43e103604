"""Broken variants of a clean long table: seeded, each a name, the bytes of a file, and what may become of it.

What is broken is what a reader can see. Left out, because the broken file says something else that is as valid as what
it said before: another digit in a number, another valid date, a blank optional cell (unit, available_at), two rows'
identifiers exchanged, a decimal point read as a thousands separator, a flipped bit in a Parquet file without checksums.
A file cut off exactly between two rows is kept, as `shorter`: its facts must all be facts of the clean file.
"""

from __future__ import annotations

import gzip
import io
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ["patient_id", "stay_id", "time", "available_at", "variable", "unit", "value"]
SERIES = {"heart_rate": ("/min", 60, 140), "temperature": ("°C", 35, 41), "creatinine": ("µmol/L", 50, 400)}
SERIES |= {"lactate": ("mmol/L", 1, 9), "glucose": ("mg/dL", 70, 300)}


@dataclass(frozen=True)
class Variant:
    """One broken file.

    equal    must read equal to the clean file
    shorter  holds fewer rows; where it ends with a whole line, nothing in the file tells
    """

    kind: str
    name: str
    content: bytes
    equal: bool = False
    shorter: bool = False


def clean_table(*, value_last: bool = True, patients: int = 5, rows: int = 8) -> pd.DataFrame:
    """Canaries: identifiers, times and values that occur nowhere else, days on both sides of 12."""
    chance, cells = random.Random(7), []
    for patient in range(patients):
        for row in range(rows):
            name = list(SERIES)[row % len(SERIES)]
            unit, low, high = SERIES[name]
            minute, day = chance.randrange(10, 60), (5, 17, 9, 23)[(patient + row) % 4]
            time = f"2031-03-{day:02d} {10 + row}:{minute}"
            available = f"2031-03-{day:02d} {10 + row}:{minute}:31" if row % 3 else ""
            value = f"{chance.uniform(low, high):.4f}"
            cells.append((f"CANARYP{patient}", f"CANARYS{patient}", time, available, name, unit, value))
    table = pd.DataFrame(cells, columns=COLUMNS)
    return table if value_last else table[[*COLUMNS[:3], *COLUMNS[4:], "available_at"]]


def canaries(table: pd.DataFrame) -> set[str]:
    """Texts that no message may hold."""
    return {"CANARY", "2031-", *table["value"]}


def variants(count: int, *, seed: int = 0) -> Iterator[Variant]:
    """About `count` broken files, the same for the same seed; each kind in proportion, and at least once."""
    whole = sum(share for share, _ in KINDS.values())
    for kind, (share, make) in KINDS.items():
        for i in range(max(1, round(share * count / whole))):
            chance = random.Random(f"{seed} {kind} {i}")
            made = make(chance, text_of(clean_table(value_last=chance.random() < 0.6)), i)
            yield Variant(kind, **made) if isinstance(made, dict) else Variant(kind, "extract.csv", made)


def text_of(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def _lines(text: bytes) -> list[bytes]:
    return text.split(b"\n")[:-1]


def _joined(lines: list[bytes], end: bytes = b"\n") -> bytes:
    return end.join([*lines, b""])


def _cells(text: bytes) -> list[list[bytes]]:
    return [line.split(b",") for line in _lines(text)]


def _table(cells: list[list[bytes]], mark: bytes = b",") -> bytes:
    return _joined([mark.join(row) for row in cells])


def _at(text: bytes, position: int, what: bytes, *, instead: int = 0) -> bytes:
    return text[:position] + what + text[position + instead :]


def _column(text: bytes, name: bytes) -> int:
    return _cells(text)[0].index(name)


def _cut(chance: random.Random, text: bytes, i: int) -> dict:
    cut = text[: chance.randrange(1, len(text))]
    return {"name": "extract.csv", "content": cut, "shorter": True}


def _cut_packed(chance: random.Random, text: bytes, i: int) -> dict:
    made = _cut(chance, text, i)
    return {**made, "name": "extract.csv.gz", "content": gzip.compress(made["content"], mtime=0)}


def _gz_cut(chance: random.Random, text: bytes, i: int) -> dict:
    packed = gzip.compress(text, mtime=0)
    return {"name": "extract.csv.gz", "content": packed[: chance.randrange(0, len(packed))]}


def _gz_flipped(chance: random.Random, text: bytes, i: int) -> dict:
    packed = bytearray(gzip.compress(text, mtime=0))
    for _ in range(chance.randrange(1, 4)):
        packed[chance.randrange(len(packed))] ^= 1 << chance.randrange(8)
    return {"name": "extract.csv.gz", "content": bytes(packed)}


def _gz_odd(chance: random.Random, text: bytes, i: int) -> dict:
    packed, half = gzip.compress(text, mtime=0), text.index(b"\n", len(text) // 2) + 1
    table = [
        ("extract.csv.gz", gzip.compress(text[:half], mtime=0) + gzip.compress(text[half:], mtime=0), True),
        ("extract.csv.gz", packed + b"junk after the end", False),
        ("extract.csv.gz", gzip.compress(packed, mtime=0), False),
        ("extract.csv.gz", text, False),
        ("extract.csv", packed, False),
        ("extract.csv.gz", b"", False),
        ("extract.csv.gz", gzip.compress(b"", mtime=0), False),
        ("extract.csv.gz", packed[:-8] + b"\0" * 8, False),
        ("EXTRACT.CSV.GZ", packed, True),
    ]
    name, content, equal = table[i % len(table)]
    return {"name": name, "content": content, "equal": equal}


def _bomb(chance: random.Random, text: bytes, i: int) -> dict:
    fill = [b"\0", b"\n", b" ", b"a", b",", _lines(text)[1] + b"\n", b'"', b"\r\n"][i % 8]
    whole = io.BytesIO()
    with gzip.GzipFile("", "wb", 1, whole, mtime=0) as file:
        file.write(text)
        for _ in range(160):
            file.write(fill * ((1 << 20) // len(fill)))
    return {"name": "extract.csv.gz", "content": whole.getvalue()}


def _parquet(text: bytes, *, checksums: bool = True) -> bytes:
    table = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
    whole = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table), whole, write_page_checksum=checksums, compression="snappy")
    return whole.getvalue()


def _parquet_cut(chance: random.Random, text: bytes, i: int) -> dict:
    whole = _parquet(text)
    return {"name": "extract.parquet", "content": whole[: chance.randrange(0, len(whole))]}


def _parquet_flipped(chance: random.Random, text: bytes, i: int) -> dict:
    whole = bytearray(_parquet(text))
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # pages; the footer is damaged by other kinds
    whole[chance.randrange(4, end)] ^= 1 << chance.randrange(8)
    return {"name": "extract.parquet", "content": bytes(whole)}


def _parquet_odd(chance: random.Random, text: bytes, i: int) -> dict:
    whole = _parquet(text)
    content = [
        b"",
        text,
        b"PAR1" + b"\0" * 40 + b"PAR1",
        whole[:-4],
        whole[4:],
        whole + b"junk",
        whole[:-8] + b"\xff" * 8,
    ]
    return {"name": "extract.parquet", "content": content[i % len(content)]}


def _encoded(chance: random.Random, text: bytes, i: int) -> dict:
    names = [
        "utf-8-sig",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "latin-1",
        "cp1252",
        "utf-32",
        "utf-7",
        "cp037",
        "mac_roman",
    ]
    names += ["cp437", "utf-32-le"]
    name = names[i % len(names)]
    content = text.decode().encode(name, "replace" if name == "cp437" else "strict")
    return {"name": "extract.csv", "content": content, "equal": name == "utf-8-sig"}


def _mixed_encoding(chance: random.Random, text: bytes, i: int) -> bytes:
    places = [found.start() for found in re.finditer("°|µ".encode(), text)]
    place = chance.choice(places)
    return _at(text, place, text[place : place + 2].decode().encode("cp1252"), instead=2)


def _wrong_byte(chance: random.Random, text: bytes, i: int) -> bytes:
    return _at(text, chance.randrange(len(text)), bytes([chance.randrange(128, 256)]))


def _control(chance: random.Random, text: bytes, i: int) -> bytes:
    marks = [
        b"\x01",
        b"\x07",
        b"\x08",
        b"\x0b",
        b"\x0c",
        b"\x1a",
        b"\x1b",
        b"\x7f",
        "\u0085".encode(),
        "\u2028".encode(),
    ]
    cells = _cells(text)
    row, column = cells[chance.randrange(1, len(cells))], chance.randrange(2)
    row[column] = _at(row[column], chance.randrange(1, len(row[column])), marks[i % 8])
    return _table(cells)


def _nul(chance: random.Random, text: bytes, i: int) -> bytes:
    return _at(text, chance.randrange(len(text)), b"\0" * chance.choice([1, 1, 7]))


def _quote(chance: random.Random, text: bytes, i: int) -> bytes:
    return _at(text, chance.randrange(len(text)), [b'"', b'""', b'"""', b'"'][i % 4])


def _quoted(chance: random.Random, text: bytes, i: int) -> dict:
    cells, wrap = _cells(text), [b'"', b'""', b"'", b"`"][i % 4]
    for row in cells if i % 8 < 4 else [chance.choice(cells)]:
        row[:] = [wrap + cell + wrap for cell in row]
    return {"name": "extract.csv", "content": _table(cells), "equal": wrap == b'"'}


def _two_quotes(chance: random.Random, text: bytes, i: int) -> bytes:
    first, second = sorted(chance.sample(range(len(text)), 2))
    return _at(_at(text, second, b'"'), first, b'"')


def _delimiters(chance: random.Random, text: bytes, i: int) -> dict:
    mark, cells = [b";", b"\t", b"|", b":", b" ", b";;", b", "][i % 7], _cells(text)
    if i % 2 and mark not in (b":", b" "):  # all of them
        return {"name": "extract.csv", "content": _table(cells, mark), "equal": mark in (b";", b"\t", b"|")}
    row = chance.randrange(1, len(cells))
    lines = _lines(text)
    lines[row] = lines[row].replace(b",", mark)
    return {"name": "extract.csv", "content": _joined(lines), "equal": mark == b", "}


def _comma_more(chance: random.Random, text: bytes, i: int) -> bytes:
    return _at(text, chance.randrange(len(text)), b",")


def _comma_less(chance: random.Random, text: bytes, i: int) -> bytes:
    places = [found.start() for found in re.finditer(b",", text)]
    return _at(text, chance.choice(places), b"", instead=1)


def _comma_last(chance: random.Random, text: bytes, i: int) -> dict:
    lines = _lines(text)
    rows = [range(len(lines)), range(1, len(lines)), [chance.randrange(1, len(lines))]][i % 3]
    for row in rows:
        lines[row] += b","
    return {"name": "extract.csv", "content": _joined(lines), "equal": True}


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


def _number(chance: random.Random, text: bytes, i: int) -> bytes:
    cells, column = _cells(text), _column(text, b"value")
    row = chance.randrange(1, len(cells))
    cells[row][column] = b'"' + NUMBERS[i % len(NUMBERS)].encode() + b'"'
    return _table(cells)


def _decimals(chance: random.Random, text: bytes, i: int) -> bytes:
    cells, column = _cells(text), _column(text, b"value")
    for row in cells[1:]:
        comma = row[column].replace(b".", b",")
        row[column] = [comma, b'"' + comma + b'"', comma, b"1'0" + row[column], b'"1,0' + row[column] + b'"'][i % 5]
    if i % 5 == 2:
        return _table(cells, b";")
    return _table(cells)


DATES = ["17.03.2031 10:20", "03/17/2031 10:20", "17/03/2031 10:20", "17-Mar-2031 10:20", "2031/03/17 10:20"]
DATES += ["17. März 2031 10:20", "2031-3-17 10:20", "2031-17-03 10:20", "2031-03-17 10.20", "2031-03-17 10:20 PM"]
DATES += ["2031-02-30 10:20", "2031-03-17 25:20", "2031-03-17 10:61", "1931-03", "20310317", "2031-03-17T10:20Z"]
DATES += ["2031-03-17 10:20+02:00", "2031-03-17 10:20+99", "47928.43", "tomorrow", "２０３１-03-17 10:20", "2031-W12-1"]
DATES += ["0000-00-00 00:00", "31-03-17 10:20", "2031-03-17 10:20:61", "12031-03-17 10:20"]


def _date(chance: random.Random, text: bytes, i: int) -> bytes:
    cells, column = _cells(text), _column(text, [b"time", b"available_at"][i % 2])
    for row in chance.sample(range(1, len(cells)), [1, 3, len(cells) - 1][i % 3]):
        cells[row][column] = DATES[i % len(DATES)].encode()
    return _table(cells)


def _order(chance: random.Random, text: bytes, i: int) -> bytes:
    """Some dates as year, day, month; one of them with a day above 12, without which nobody could tell."""
    cells, column = _cells(text), _column(text, b"time")
    late = [row for row in range(1, len(cells)) if cells[row][column][8:10] > b"12"]
    rows = {chance.choice(late), *chance.sample(range(1, len(cells)), chance.randrange(1, len(cells)))}
    for row in rows:
        for place in (column, _column(text, b"available_at")):
            cells[row][place] = re.sub(rb"(\d{4})-(\d\d)-(\d\d)", rb"\1-\3-\2", cells[row][place])
    return _table(cells)


def _columns(chance: random.Random, text: bytes, i: int) -> dict:
    table = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
    needed, equal = ["patient_id", "time", "variable", "value"], False
    form = i % 9
    if form == 0:
        table, equal = table[chance.sample(list(table), len(table.columns))], True
    elif form == 1:
        table, equal = table.assign(ward="CANARYW", note="a, b; c"), True
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


def _header(chance: random.Random, text: bytes, i: int) -> dict:
    lines = _lines(text)
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
    return {"name": "extract.csv", "content": _joined(forms[form]), "shorter": form in (6, 13)}


def _empty(chance: random.Random, text: bytes, i: int) -> dict:
    contents = [
        b"",
        b"\n",
        b"\n\n\n",
        b" ",
        b"\xef\xbb\xbf",
        b"\0",
        b",",
        b"\r",
        b'"',
        b"\xff",
        text[: text.index(b"\n")],
    ]
    return {"name": "extract.csv", "content": contents[i % len(contents)], "shorter": i % len(contents) == 10}


def _mark_inside(chance: random.Random, text: bytes, i: int) -> bytes:
    return _at(text, chance.randrange(1, len(text)), b"\xef\xbb\xbf")


def _unseen(chance: random.Random, text: bytes, i: int) -> dict:
    marks = [" ", "  ", "\u00a0", "\u2007", "\u202f", "\u200b", "\u2060", "\t"]
    cells, mark = _cells(text), marks[i % len(marks)].encode()
    for row in cells[1:]:
        column = chance.randrange(len(row))
        row[column] = mark + row[column] if chance.random() < 0.5 else row[column] + mark
    return {"name": "extract.csv", "content": _table(cells), "equal": True}


def _huge(chance: random.Random, text: bytes, i: int) -> bytes:
    cells = _cells(text)
    row, size = cells[chance.randrange(1, len(cells))], [3_000_000, 300_000, 1_900_000, 40_000_000][i % 4]
    row[chance.randrange(7)] = [b"9", b"a", b'"a', b"\xc2\xb5"][(i // 4) % 4] * (size // 2)
    return _table(cells)


def _blank_lines(chance: random.Random, text: bytes, i: int) -> dict:
    lines = _lines(text)
    for _ in range(chance.randrange(1, 6)):
        lines.insert(chance.randrange(1, len(lines) + 1), b"")
    end = [b"\n", b"\r\n"][i % 2]
    return {"name": "extract.csv", "content": _joined(lines, end), "equal": True}


def _blank_cells(chance: random.Random, text: bytes, i: int) -> bytes:
    lines = _lines(text)
    lines.insert(
        chance.randrange(1, len(lines) + 1), [b"," * 6, b'""', b" ", b",", b"," * 9, b'"",' * 6 + b'""'][i % 6]
    )
    return _joined(lines)


def _line_ends(chance: random.Random, text: bytes, i: int) -> dict:
    end = [b"\r\n", b"\r"][i % 2]
    return {"name": "extract.csv", "content": text.replace(b"\n", end), "equal": True}


def _mixed_ends(chance: random.Random, text: bytes, i: int) -> bytes:
    places = [found.start() for found in re.finditer(b"\n", text)]
    if i % 3 == 0:
        return _at(text, chance.randrange(len(text)), [b"\r", b"\r\r\n", b"\n\r", b"\n"][i % 4])
    return _at(text, chance.choice(places), [b"\r", b"\r\n", b"\r\r\n"][i % 3], instead=1)


def _names(chance: random.Random, text: bytes, i: int) -> dict:
    names = ["x[1].csv", "x*.csv", "x?.csv", "it's.csv", 'a"b.csv', "a b.csv", "täglich.csv", "a\nb.csv", "a%20b.csv"]
    names += [
        "a;b.csv",
        "[!a].csv",
        "{a,b}.csv",
        "~.csv",
        "--.csv",
        "a\\b.csv",
        "$HOME.csv",
        "x.CSV",
        "nul.csv",
        "a\udcff.csv",
    ]
    name = names[i % len(names)]
    return {"name": name, "content": text, "equal": "\udcff" not in name}


def _units(chance: random.Random, text: bytes, i: int) -> dict:
    same = text.decode().replace("µ", "\u03bc")
    forms = [(same, True), (text.decode().replace("µ", "u"), True), (text.decode().replace("µ", "?"), False)]
    forms += [(text.decode().replace("µ", "\ufffd"), False), (text.decode().replace("°C", "\u2103"), False)]
    forms += [(text.decode().replace("µ", "m\u200b"), False), (text.decode().replace("µmol", "µ mol"), False)]
    content, equal = forms[i % len(forms)]
    return {"name": "extract.csv", "content": content.encode(), "equal": equal}


def _exchanged(chance: random.Random, text: bytes, i: int) -> bytes:
    cells = _cells(text)
    row = cells[chance.randrange(1, len(cells))]
    one, two = [("patient_id", "variable"), ("time", "value"), ("variable", "value"), ("unit", "variable")][i % 4]
    a, b = _column(text, one.encode()), _column(text, two.encode())
    row[a], row[b] = row[b], row[a]
    return _table(cells)


def _shifted(chance: random.Random, text: bytes, i: int) -> bytes:
    cells = _cells(text)
    for row in cells[1:] if i % 2 else [cells[chance.randrange(1, len(cells))]]:
        row[:] = row[1:] + row[:1] if i % 4 < 2 else row[-1:] + row[:-1]
    return _table(cells)


def _doubled(chance: random.Random, text: bytes, i: int) -> dict:
    lines = _lines(text)
    if i % 2:
        return {"name": "extract.csv", "content": _joined([*lines, *lines[1:]]), "equal": True}
    return {
        "name": "extract.csv",
        "content": _joined([lines[0], *chance.sample(lines[1:], len(lines) - 1)]),
        "equal": True,
    }


Maker = Callable[[random.Random, bytes, int], bytes | dict]
KINDS: dict[str, tuple[int, Maker]] = {  # how many of about 2,100, and how they are made
    "cut off": (240, _cut),
    "cut off, then packed": (60, _cut_packed),
    "gzip cut off": (80, _gz_cut),
    "gzip with flipped bits": (160, _gz_flipped),
    "odd gzip": (18, _gz_odd),
    "gzip bomb": (8, _bomb),
    "Parquet cut off": (60, _parquet_cut),
    "Parquet with a flipped bit": (100, _parquet_flipped),
    "odd Parquet": (14, _parquet_odd),
    "another encoding": (24, _encoded),
    "mixed encodings": (50, _mixed_encoding),
    "a byte that is not UTF-8": (60, _wrong_byte),
    "control characters": (40, _control),
    "NUL bytes": (50, _nul),
    "a quote more": (160, _quote),
    "two quotes more": (80, _two_quotes),
    "all quoted": (16, _quoted),
    "other delimiters": (42, _delimiters),
    "a comma more": (100, _comma_more),
    "a comma less": (80, _comma_less),
    "commas at the end": (12, _comma_last),
    "odd numbers": (80, _number),
    "decimal commas and thousands": (20, _decimals),
    "locale dates": (90, _date),
    "mixed order of day and month": (40, _order),
    "columns": (72, _columns),
    "headers": (42, _header),
    "empty": (11, _empty),
    "byte order mark inside": (30, _mark_inside),
    "unseen blanks": (32, _unseen),
    "huge fields": (24, _huge),
    "blank lines": (40, _blank_lines),
    "rows of blanks": (24, _blank_cells),
    "line ends": (6, _line_ends),
    "mixed line ends": (60, _mixed_ends),
    "odd file names": (19, _names),
    "odd units": (14, _units),
    "cells exchanged": (40, _exchanged),
    "cells shifted": (24, _shifted),
    "rows twice or shuffled": (10, _doubled),
}
