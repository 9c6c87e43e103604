"""Hostile and broken files: thousands of variants of a clean table, none read wrongly, none quoted in a message."""

from __future__ import annotations

import tarfile
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest
from hostile import mutator, pieces, resources
from hostile.law import judge, read

import clinicalgru as cg
from clinicalgru.data.events import Events
from clinicalgru.data.ingest.csv_check import UNFINISHED
from clinicalgru.errors import InputError

PARTS = 6
TABLES, EXPORTS = 1_880, 150


@pytest.fixture(scope="module")
def clean() -> Events:
    return cg.read_events(pieces.clean_table())


def outcome(variant: pieces.Variant, path: Path, clean: Events, *, hidden: set[str], source: str = "long") -> str:
    """What became of a broken file, read by itself or with its folder: equal, counted, shorter or refused."""
    events, error, said = read(path, source=source, max_rejected=1.0)
    assert not [canary for canary in hidden if canary in said], "a message quotes the file"
    if events is None:
        assert error is not None
        assert not variant.equal, str(error)
        assert error.fix
        assert error.where
        return "refused"
    became = judge(clean.to_frame(), clean.ledger.rows_in, events, shorter=variant.shorter)
    assert became == "equal" or not variant.equal, events.ledger.rejected
    if became == "shorter" and not variant.name.endswith(".gz"):
        assert variant.content.endswith(b"\n") or b"\n" not in variant.content, "a row cut off was used or not counted"
    return became


def with_variant(variant: pieces.Variant, broken: AssertionError) -> AssertionError:
    return AssertionError(f"{variant.kind}, {variant.name!r}, {variant.content[:60]!r}...: {broken}")


def run_tables(variants: list[pieces.Variant], folder: Path, clean: Events) -> Counter:
    became: Counter = Counter()
    hidden = pieces.canaries(pieces.clean_table())
    for variant in variants:
        path = folder / variant.name
        path.write_bytes(variant.content)
        try:
            became[outcome(variant, path, clean, hidden=hidden)] += 1
        except AssertionError as broken:
            raise with_variant(variant, broken) from None
        path.unlink()
    return became


def run_exports(variants: list[pieces.Variant], folder: Path) -> Counter:
    became: Counter = Counter()
    files, hidden = resources.clean_export(), resources.canaries()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    clean = cg.read_events(folder, source="fhir")
    assert clean.ledger.used == len(files["Observation.ndjson"].splitlines())
    for variant in variants:
        whole = variant.name.removesuffix(".gz")
        (folder / whole).unlink()
        (folder / variant.name).write_bytes(variant.content)
        try:
            became[outcome(variant, folder, clean, hidden=hidden, source="fhir")] += 1
        except AssertionError as broken:
            raise with_variant(variant, broken) from None
        (folder / variant.name).unlink()
        (folder / whole).write_bytes(files[whole])
    return became


@pytest.mark.slow
def test_no_kind_of_broken_table_is_read_wrongly(clean, tmp_path):
    became = run_tables(list(mutator.variants(60, random_state=1)), tmp_path, clean)
    assert became["refused"] >= 20
    assert became["equal"] >= 8
    assert became["counted"] >= 5


@pytest.mark.slow
def test_no_kind_of_broken_export_is_read_wrongly(tmp_path):
    became = run_exports(list(resources.export_variants(len(resources.KINDS), random_state=1)), tmp_path)
    assert became["refused"] >= 5


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.parametrize("part", range(PARTS))
def test_none_of_two_thousand_broken_files_is_read_wrongly(clean, tmp_path, part):
    tables, exports = list(mutator.variants(TABLES)), list(resources.export_variants(EXPORTS))
    assert len(tables) + len(exports) >= 2_000
    became = run_tables(tables[part::PARTS], tmp_path, clean)
    (tmp_path / "export").mkdir()
    became += run_exports(exports[part::PARTS], tmp_path / "export")
    assert sum(became.values()) == len(tables[part::PARTS]) + len(exports[part::PARTS])


@pytest.mark.slow
def test_the_same_seed_makes_the_same_variants():
    assert list(mutator.variants(50)) == list(mutator.variants(50))
    assert list(mutator.variants(50)) != list(mutator.variants(50, random_state=1))


@pytest.mark.slow
def test_a_last_line_without_end_may_be_cut_off_and_is_not_used(clean, tmp_path):
    text = pieces.text_of(pieces.clean_table())
    (tmp_path / "a.csv").write_bytes(text[:-2])  # the last digit of the last value is gone
    ledger = cg.read_events(tmp_path / "a.csv").ledger
    assert ledger.rejected == {UNFINISHED: 1}
    assert ledger.findings["where"].tolist() == ["a.csv, row 41, column value"]
    quoted = pieces.clean_table().to_csv(index=False, quoting=1).encode()[:-1]
    (tmp_path / "b.csv").write_bytes(quoted)  # the closing quote says that the field is whole
    assert cg.read_events(tmp_path / "b.csv").ledger.rejected == {}


def test_a_stays_table_that_may_be_cut_off_is_refused(clean, tmp_path):
    (tmp_path / "stays.csv").write_text("patient_id,stay_id,age\nCANARYP0,CANARYS0,6")
    with pytest.raises(cg.ClinicalGRUError, match=r"stays.csv, row 2: Expected a line end") as refused:
        cg.read_events(pieces.clean_table(), stays=tmp_path / "stays.csv")
    assert "CANARY" not in str(refused.value)


STAY = b"Time,Parameter,Value\n00:00,RecordID,132539\n00:07,HR,73\n"


def archive(path: Path, members: list[tuple[str, bytes, str]]) -> Path:
    """A .zip or .tar.gz of (name, content or target of the link, kind)."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, content, _ in members:
                file.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as file:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            if kind == "file":
                member.size = len(content)
            else:
                member.type, member.linkname = (
                    (tarfile.SYMTYPE if kind == "link" else tarfile.LNKTYPE),
                    content.decode(),
                )
            file.addfile(member, BytesIO(content) if kind == "file" else None)
    return path


TRICKS = {
    "a path upwards": [("../../132539.txt", STAY, "file")],
    "an absolute path": [("/tmp/132539.txt", STAY, "file")],
    "a link": [("132539.txt", b"/etc/passwd", "link")],
    "a hard link": [("a/132540.txt", STAY, "file"), ("132539.txt", b"a/132540.txt", "hard")],
    "one name twice": [("a/132539.txt", STAY, "file"), ("b/132539.txt", STAY, "file")],
    "one name in two cases": [("132539.txt", STAY, "file"), ("132539.TXT", STAY, "file")],
    "a huge member": [("132539.txt", b"0" * 11_000_000, "file")],
    "a name that is no text": [("132\udcff539.txt", STAY, "file")],
    "a file cut off": [("132539.txt", STAY[:-2], "file")],
    "NUL": [("132539.txt", STAY.replace(b"73", b"7\0003"), "file")],
    "a quote over lines": [("132539.txt", STAY.replace(b"HR", b'"HR').replace(b"73\n", b'73\n00:08,"HR,74\n'), "file")],
}
HARMLESS = ("a path upwards", "an absolute path")
COUNTED = ("NUL", "a quote over lines")


@pytest.mark.parametrize("packed", ["set.zip", "set.tar.gz"])
@pytest.mark.parametrize("trick", TRICKS)
def test_no_archive_writes_to_disk_follows_a_link_or_counts_a_stay_twice(tmp_path, monkeypatch, packed, trick):
    if packed == "set.zip" and ("link" in trick or "no text" in trick):
        pytest.skip("a ZIP has none")
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / packed, TRICKS[trick])
    events, error, _ = read(path, source="physionet2012", max_rejected=1.0)
    assert sorted(tmp_path.iterdir()) == [path]
    if trick in HARMLESS:
        assert events is not None
        assert events.to_frame()["value"].tolist() == [73.0]
    elif trick in COUNTED and events is not None:
        assert events.to_frame().empty
        assert sum(events.ledger.rejected.values()) >= 1
    else:
        assert error is not None
        assert error.fix


def test_a_zip_that_is_cut_off_is_called_damaged(tmp_path):
    path = archive(tmp_path / "set.zip", [("132539.txt", STAY, "file")])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"set.zip: .*got a damaged archive"):
        cg.read_events(path, source="physionet2012")


@pytest.mark.parametrize("source", ["omop", "eicu"])
def test_a_damaged_archive_of_tables_and_a_full_disk_are_named_as_what_they_are(tmp_path, monkeypatch, source):
    table = b"person_id,subject_id\n" + b"".join(b"%d,%d\n" % (n, n * 7) for n in range(5000))
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("person.csv", table)
        file.writestr("patient.csv", table)
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes(60) + whole[260:])
    with pytest.raises(InputError, match="got a damaged archive"):
        cg.read_events(path, source=source)
    path.write_bytes(whole)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)  # as unpacking does on a full disk
    with pytest.raises(InputError, match="disk space"):
        cg.read_events(path, source=source)


@pytest.mark.slow
def test_a_flipped_bit_in_a_set_is_refused_as_its_checksum_says(tmp_path):
    members = [(f"13{i:04d}.txt", STAY.replace(b"132539", b"13%04d" % i), "file") for i in range(40)]
    path = archive(tmp_path / "set.tar.gz", members)
    whole, clean = path.read_bytes(), cg.read_events(path, source="physionet2012").to_frame()
    assert len(clean) == 40
    refused = 0
    for place in range(20, len(whole), len(whole) // 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        events, error, _ = read(path, source="physionet2012", max_rejected=1.0)
        refused += error is not None
        assert events is None or events.to_frame().equals(clean)  # the name in the gzip's own header may be any
    assert refused >= 38
