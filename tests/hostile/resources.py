"""Broken variants of a clean FHIR bulk export: one of its three NDJSON files is damaged, the others are whole.

Left out, as in `mutator`: what is valid JSON and says something else, such as a letter within a text, or a key twice.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from collections.abc import Callable, Iterator

from hostile.pieces import Variant, at, flipped

UCUM, LOINC = "http://unitsofmeasure.org", "http://loinc.org"
CODES = {"8867-4": ("/min", 60, 140), "2160-0": ("mg/dL", 1, 4), "2524-7": ("mmol/L", 1, 9)}


def clean_export() -> dict[str, bytes]:
    """Name and content of each file; canaries as in the long table."""
    chance = random.Random(11)
    patients = [{"resourceType": "Patient", "id": f"CANARYP{i}", "gender": "female"} for i in range(4)]
    encounters = [
        {
            "resourceType": "Encounter", "id": f"CANARYS{i}", "status": "finished", "class": {"code": "IMP"},
            "subject": {"reference": f"Patient/CANARYP{i}"},
            "period": {"start": f"2031-03-0{i + 1}T00:00:00Z", "end": f"2031-03-1{i}T00:00:00Z"},
        }
        for i in range(4)
    ]  # fmt: skip
    observations = [_observation(chance, i, hour) for i in range(4) for hour in range(7)]
    files = {"Patient": patients, "Encounter": encounters, "Observation": observations}
    return {f"{kind}.ndjson": _lines(resources) for kind, resources in files.items()}


def _observation(chance: random.Random, i: int, hour: int) -> dict:
    code = list(CODES)[hour % 3]
    unit, low, high = CODES[code]
    moment = f"2031-03-0{i + 1}T{10 + hour}:{chance.randrange(10, 60)}"
    quantity = {"value": round(chance.uniform(low, high), 5), "unit": "wie gemeßen", "system": UCUM, "code": unit}
    return {
        "resourceType": "Observation", "status": "final", "subject": {"reference": f"Patient/CANARYP{i}"},
        "encounter": {"reference": f"Encounter/CANARYS{i}"}, "effectiveDateTime": f"{moment}:00Z",
        "issued": f"{moment}:45Z", "code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity,
    }  # fmt: skip


def _lines(resources: list[dict]) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in resources).encode()


def canaries() -> set[str]:
    """Texts that no message may hold."""
    values = re.findall(r'"value": ([0-9.]+)', clean_export()["Observation.ndjson"].decode())
    return {"CANARY", "2031-", *(value for value in values if len(value) > 5)}


def export_variants(count: int, *, random_state: int = 0) -> Iterator[Variant]:
    """`count` broken files of the export, the same for the same seed."""
    clean = clean_export()
    for i in range(count):
        kind = list(KINDS)[i % len(KINDS)]
        chance = random.Random(f"{random_state} {kind} {i}")
        name = "Observation.ndjson" if chance.random() < 0.8 else chance.choice(list(clean))
        made = KINDS[kind](chance, clean[name], i // len(KINDS))
        content, equal, packed = made if isinstance(made, tuple) else (made, False, False)
        yield Variant(kind, name + ".gz" * packed, content, equal=equal, shorter=kind == "cut off")


Made = bytes | tuple[bytes, bool, bool]  # content; whether it must read equal; whether it is packed


def _cut(chance: random.Random, text: bytes, i: int) -> Made:
    return text[: chance.randrange(1, len(text))]


def _gz_cut(chance: random.Random, text: bytes, i: int) -> Made:
    packed = gzip.compress(text, mtime=0)
    return packed[: chance.randrange(1, len(packed))], False, True


def _gz_flipped(chance: random.Random, text: bytes, i: int) -> Made:
    return flipped(chance, gzip.compress(text, mtime=0)), False, True


def _bomb(chance: random.Random, text: bytes, i: int) -> Made:
    fill, whole = [b" ", b"\n", b'"', b"[", b"\0", b"{"][i % 6], io.BytesIO()
    with gzip.GzipFile("", "wb", 1, whole, mtime=0) as file:
        file.write(text)
        for _ in range(160):
            file.write(fill * (1 << 20))
    return whole.getvalue(), False, True


def _structure(chance: random.Random, text: bytes, i: int) -> Made:
    places = [found.start() for found in re.finditer(rb'[{}\[\]]|": |, "', text)]
    return at(text, chance.choice(places), b"", instead=1)


def _quote(chance: random.Random, text: bytes, i: int) -> Made:
    return at(text, chance.randrange(len(text)), b'"')


def _bytes(chance: random.Random, text: bytes, i: int) -> Made:
    what = [b"\0", bytes([chance.randrange(128, 192)]), b"\xc3\x28", b"\xff", b"\x01"][i % 5]
    return at(text, chance.randrange(len(text)), what)


def _encoded(chance: random.Random, text: bytes, i: int) -> Made:
    names = ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "utf-32", "cp037"]
    return text.decode().encode(names[i % len(names)])


def _same(chance: random.Random, text: bytes, i: int) -> Made:
    lines = text.splitlines()
    forms = [text.replace(b"\n", b"\r\n"), text.replace(b"\n", b"\n\n"), text.replace(b": ", b":\t")]
    forms += [b"\n".join(chance.sample(lines, len(lines))) + b"\n", b"\n\n" + text, text.rstrip()]
    return forms[i % len(forms)], True, False


def _packed(chance: random.Random, text: bytes, i: int) -> Made:
    half = text.index(b"\n") + 1
    return gzip.compress(text[:half], mtime=0) + gzip.compress(text[half:], mtime=0), True, True


def _numbers(chance: random.Random, text: bytes, i: int) -> Made:
    odd = [
        b"NaN",
        b"1e400",
        b"0x10",
        b"1_000",
        b'"88,4"',
        b'"<88"',
        b"--8",
        b"[8, 9]",
        b'{"a": 8}',
        b"true",
        b"+8",
        b"08",
    ]
    whole = re.sub(rb'"value": [0-9.]+', b'"value": ' + odd[i % len(odd)], text, count=1)
    return whole if whole != text else text + b"8\n"


def _forms(chance: random.Random, text: bytes, i: int) -> Made:
    lines = text.splitlines()
    forms = [b"[" + b",\n".join(lines) + b"]", json.dumps(json.loads(lines[0]), indent=2).encode(), b"null\n" + text]
    forms += [text + b"[" * 200_000, b"3\n" + text, text + b'{"resourceType": "Basic"}\n', text + b"{}\n", b"<xml/>"]
    forms += [text + b'{"id": "' + b"a" * 40_000_000 + b'"}\n', text.replace(b'"', b"'"), text + b"// end\n"]
    return forms[i % len(forms)]


KINDS: dict[str, Callable[[random.Random, bytes, int], Made]] = {
    "cut off": _cut,
    "gzip cut off": _gz_cut,
    "gzip with flipped bits": _gz_flipped,
    "gzip bomb": _bomb,
    "a bracket or comma less": _structure,
    "a quote more": _quote,
    "bytes that are no text": _bytes,
    "another encoding": _encoded,
    "written otherwise": _same,
    "packed in two": _packed,
    "odd numbers": _numbers,
    "other forms": _forms,
}
