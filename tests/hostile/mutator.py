"""Broken variants of a clean long table: seeded, each a name, the bytes of a file, and what may become of it.

What is broken is what a reader can see. Left out, because the broken file says something else that is as valid as what
it said before: another digit in a number, another valid date, a blank optional cell (unit, available_at), two rows'
identifiers exchanged, a decimal point read as a thousands separator, a flipped bit in a Parquet file without checksums.
A file cut off exactly between two rows is kept, as `shorter`: its facts must all be facts of the clean file.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from hostile import broken_bytes, broken_cells
from hostile.pieces import Variant, clean_table, text_of


def variants(count: int, *, random_state: int = 0) -> Iterator[Variant]:
    """About `count` broken files, the same for the same seed; each kind in proportion, and at least once."""
    whole = sum(share for share, _ in KINDS.values())
    for kind, (share, make) in KINDS.items():
        for i in range(max(1, round(share * count / whole))):
            chance = random.Random(f"{random_state} {kind} {i}")
            made = make(chance, text_of(clean_table(value_last=chance.random() < 0.6)), i)
            yield Variant(kind, **made) if isinstance(made, dict) else Variant(kind, "extract.csv", made)


Maker = Callable[[random.Random, bytes, int], bytes | dict]
KINDS: dict[str, tuple[int, Maker]] = {  # how many of about 2,100, and how they are made
    "cut off": (240, broken_bytes.cut),
    "cut off, then packed": (60, broken_bytes.cut_packed),
    "gzip cut off": (80, broken_bytes.gz_cut),
    "gzip with flipped bits": (160, broken_bytes.gz_flipped),
    "odd gzip": (18, broken_bytes.gz_odd),
    "gzip bomb": (8, broken_bytes.bomb),
    "Parquet cut off": (60, broken_bytes.parquet_cut),
    "Parquet with a flipped bit": (100, broken_bytes.parquet_flipped),
    "odd Parquet": (14, broken_bytes.parquet_odd),
    "another encoding": (24, broken_bytes.encoded),
    "mixed encodings": (50, broken_bytes.mixed_encoding),
    "a byte that is not UTF-8": (60, broken_bytes.wrong_byte),
    "control characters": (40, broken_bytes.control),
    "NUL bytes": (50, broken_bytes.nul),
    "a quote more": (160, broken_cells.quote),
    "two quotes more": (80, broken_cells.two_quotes),
    "all quoted": (16, broken_cells.quoted),
    "other delimiters": (42, broken_cells.delimiters),
    "a comma more": (100, broken_cells.comma_more),
    "a comma less": (80, broken_cells.comma_less),
    "commas at the end": (12, broken_cells.comma_last),
    "odd numbers": (80, broken_cells.number),
    "decimal commas and thousands": (20, broken_cells.decimals),
    "locale dates": (90, broken_cells.date),
    "mixed order of day and month": (40, broken_cells.order),
    "columns": (72, broken_cells.columns),
    "headers": (42, broken_cells.header),
    "empty": (11, broken_bytes.empty),
    "byte order mark inside": (30, broken_bytes.mark_inside),
    "unseen blanks": (32, broken_cells.unseen),
    "huge fields": (24, broken_bytes.huge),
    "blank lines": (40, broken_cells.blank_lines),
    "rows of blanks": (24, broken_cells.blank_cells),
    "line ends": (6, broken_bytes.line_ends),
    "mixed line ends": (60, broken_bytes.mixed_ends),
    "odd file names": (19, broken_bytes.names),
    "odd units": (14, broken_cells.units),
    "cells exchanged": (40, broken_cells.exchanged),
    "cells shifted": (24, broken_cells.shifted),
    "rows twice or shuffled": (10, broken_cells.doubled),
}
