"""The clean table with its canaries, a broken variant of it, and what the makers of variants share."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pandas as pd

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


def text_of(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def lines_of(text: bytes) -> list[bytes]:
    return text.split(b"\n")[:-1]


def joined(lines: list[bytes], end: bytes = b"\n") -> bytes:
    return end.join([*lines, b""])


def cells_of(text: bytes) -> list[list[bytes]]:
    return [line.split(b",") for line in lines_of(text)]


def table_of(cells: list[list[bytes]], mark: bytes = b",") -> bytes:
    return joined([mark.join(row) for row in cells])


def at(text: bytes, position: int, what: bytes, *, instead: int = 0) -> bytes:
    return text[:position] + what + text[position + instead :]


def column_of(text: bytes, name: bytes) -> int:
    return cells_of(text)[0].index(name)


def flipped(chance: random.Random, content: bytes) -> bytes:
    """Up to three bits changed."""
    bits = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        bits[chance.randrange(len(bits))] ^= 1 << chance.randrange(8)
    return bytes(bits)
