"""Variants broken below the table: cut off, packed badly, of another encoding, with bytes that no text has."""

from __future__ import annotations

import gzip
import io
import random
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hostile.pieces import at, cells_of, flipped, lines_of, table_of


def cut(chance: random.Random, text: bytes, i: int) -> dict:
    cut = text[: chance.randrange(1, len(text))]
    return {"name": "extract.csv", "content": cut, "shorter": True}


def cut_packed(chance: random.Random, text: bytes, i: int) -> dict:
    made = cut(chance, text, i)
    return {**made, "name": "extract.csv.gz", "content": gzip.compress(made["content"], mtime=0)}


def gz_cut(chance: random.Random, text: bytes, i: int) -> dict:
    packed = gzip.compress(text, mtime=0)
    return {"name": "extract.csv.gz", "content": packed[: chance.randrange(0, len(packed))]}


def gz_flipped(chance: random.Random, text: bytes, i: int) -> dict:
    return {"name": "extract.csv.gz", "content": flipped(chance, gzip.compress(text, mtime=0))}


def gz_odd(chance: random.Random, text: bytes, i: int) -> dict:
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


def bomb(chance: random.Random, text: bytes, i: int) -> dict:
    fill = [b"\0", b"\n", b" ", b"a", b",", lines_of(text)[1] + b"\n", b'"', b"\r\n"][i % 8]
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


def parquet_cut(chance: random.Random, text: bytes, i: int) -> dict:
    whole = _parquet(text)
    return {"name": "extract.parquet", "content": whole[: chance.randrange(0, len(whole))]}


def parquet_flipped(chance: random.Random, text: bytes, i: int) -> dict:
    whole = bytearray(_parquet(text))
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # pages; the footer is damaged by other kinds
    whole[chance.randrange(4, end)] ^= 1 << chance.randrange(8)
    return {"name": "extract.parquet", "content": bytes(whole)}


def parquet_odd(chance: random.Random, text: bytes, i: int) -> dict:
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


def encoded(chance: random.Random, text: bytes, i: int) -> dict:
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


def mixed_encoding(chance: random.Random, text: bytes, i: int) -> bytes:
    places = [found.start() for found in re.finditer("°|µ".encode(), text)]
    place = chance.choice(places)
    return at(text, place, text[place : place + 2].decode().encode("cp1252"), instead=2)


def wrong_byte(chance: random.Random, text: bytes, i: int) -> bytes:
    return at(text, chance.randrange(len(text)), bytes([chance.randrange(128, 256)]))


def control(chance: random.Random, text: bytes, i: int) -> bytes:
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
    cells = cells_of(text)
    row, column = cells[chance.randrange(1, len(cells))], chance.randrange(2)
    row[column] = at(row[column], chance.randrange(1, len(row[column])), marks[i % 8])
    return table_of(cells)


def nul(chance: random.Random, text: bytes, i: int) -> bytes:
    return at(text, chance.randrange(len(text)), b"\0" * chance.choice([1, 1, 7]))


def mark_inside(chance: random.Random, text: bytes, i: int) -> bytes:
    return at(text, chance.randrange(1, len(text)), b"\xef\xbb\xbf")


def huge(chance: random.Random, text: bytes, i: int) -> bytes:
    cells = cells_of(text)
    row, size = cells[chance.randrange(1, len(cells))], [3_000_000, 300_000, 1_900_000, 40_000_000][i % 4]
    row[chance.randrange(7)] = [b"9", b"a", b'"a', b"\xc2\xb5"][(i // 4) % 4] * (size // 2)
    return table_of(cells)


def line_ends(chance: random.Random, text: bytes, i: int) -> dict:
    end = [b"\r\n", b"\r"][i % 2]
    return {"name": "extract.csv", "content": text.replace(b"\n", end), "equal": True}


def mixed_ends(chance: random.Random, text: bytes, i: int) -> bytes:
    places = [found.start() for found in re.finditer(b"\n", text)]
    if i % 3 == 0:
        return at(text, chance.randrange(len(text)), [b"\r", b"\r\r\n", b"\n\r", b"\n"][i % 4])
    return at(text, chance.choice(places), [b"\r", b"\r\n", b"\r\r\n"][i % 3], instead=1)


def empty(chance: random.Random, text: bytes, i: int) -> dict:
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


def names(chance: random.Random, text: bytes, i: int) -> dict:
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
