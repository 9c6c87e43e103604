"""A feed: each watermark is scored once, over restarts too; files that cannot be read are kept as dead letters."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.errors import ArgumentError, InputError
from clinicalgru.serve.feed_watermark import feed_watermark
from clinicalgru.serve.watch import watch

GOLDEN = Path(__file__).parent / "golden"


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.slow
def test_each_watermark_is_scored_once_over_restarts(tmp_path):
    rows = pd.read_csv(GOLDEN / "extract" / "measurements.csv", dtype={"stay_id": str, "patient_id": str})
    rows = rows.sort_values("available_at", kind="stable")
    folder, out, waited = tmp_path / "feed", tmp_path / "scores", []
    folder.mkdir()
    third = len(rows) // 3
    options = {"stays": GOLDEN / "extract" / "stays.csv", "out": out, "every": 60.0}
    model = cg.load(GOLDEN / "bundle-2")

    def add(number: int) -> None:
        rows.iloc[number * third : (number + 1) * third].to_csv(folder / f"part-{number}.csv", index=False)

    def clock(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            add(1)
            (folder / "broken.csv").write_text('patient_id,time\n"never closed')

    add(0)
    rounds = list(watch(model, folder, n_rounds=4, sleep=clock, **options))
    assert [scores is not None for scores in rounds] == [True, False, True, False]
    assert waited == [60.0] * 3
    before = files(out)
    assert len([name for name in before if name.endswith(".parquet")]) == 2
    letters = [name for name in before if "_dead_letters" in name and name.endswith(".json")]
    assert [json.loads(before[name])["file"] for name in letters] == ["broken.csv"]
    assert list(watch(model, folder, n_rounds=1, sleep=clock, **options)) == [None]  # started again
    assert files(out) == before
    for file in out.glob("as_of=*/part-*.parquet"):
        assert not pd.read_parquet(file)["stay_id"].duplicated().any()


@pytest.mark.slow
def test_a_failed_round_is_tried_again_and_the_last_one_raises(tmp_path):
    """A schedule that runs one round must not take a missing feed for a quiet one."""
    model, feed = cg.load(GOLDEN / "bundle-2"), tmp_path / "rows.csv"
    options = {"stays": GOLDEN / "extract" / "stays.csv", "out": tmp_path / "scores"}
    with pytest.raises(InputError, match="no such path"):
        list(watch(model, feed, n_rounds=1, **options))
    assert not (tmp_path / "scores").exists()
    rows = (GOLDEN / "extract" / "measurements.csv").read_bytes()
    rounds = list(watch(model, feed, n_rounds=2, sleep=lambda _: feed.write_bytes(rows), **options))
    assert [scores is not None for scores in rounds] == [False, True]


def test_a_dead_letter_is_read_once_its_stays_are_known(tmp_path):
    """A feed of stays may come later than that of their rows; tables of any ending are read, hidden ones are not."""
    rows = pd.read_csv(GOLDEN / "extract" / "measurements.csv", dtype={"stay_id": str, "patient_id": str})
    stays = pd.read_csv(GOLDEN / "extract" / "stays.csv", dtype={"stay_id": str, "patient_id": str})
    stays = stays.sort_values("start")
    early, folder, table = rows["stay_id"].isin(stays["stay_id"][:4]), tmp_path / "feed", tmp_path / "stays.csv"
    (folder / ".snapshot").mkdir(parents=True)
    rows[early].to_csv(folder / "a.tsv", sep="\t", index=False)
    rows[~early].to_csv(folder / "b.csv", index=False)
    rows.assign(value=1e9).to_csv(folder / ".snapshot" / "a.csv", index=False)
    (folder / "c.csv.part").write_text("patient_id,ti")
    stays[:4].to_csv(table, index=False)
    rounds = watch(cg.load(GOLDEN / "bundle-2"), folder, stays=table, out=tmp_path / "scores", every=0.0)
    first, letters = next(rounds), tmp_path / "scores" / "_dead_letters"
    assert first is not None
    assert len(first) == 4
    assert [file.name.partition("-")[2] for file in sorted(letters.iterdir())] == ["b.csv", "b.csv.json"]
    stays.to_csv(table, index=False)
    second = next(rounds)
    assert second is not None
    assert len(second) == len(stays)
    assert not list(letters.iterdir())


def test_a_row_dated_far_ahead_does_not_make_all_others_late(tmp_path):
    """The typing error of one year in one row: the other rows are scored round by round, and the row is kept apart."""
    rows = pd.read_csv(GOLDEN / "extract" / "measurements.csv", dtype={"stay_id": str, "patient_id": str})
    rows = rows.sort_values("available_at", kind="stable")
    folder, out, half = tmp_path / "feed", tmp_path / "scores", len(rows) // 2
    folder.mkdir()
    ahead = rows.iloc[:1].assign(time="2199-01-01 00:00:00", available_at="2199-01-01 00:00:00", value=77.0)
    pd.concat([rows.iloc[:half], ahead]).to_csv(folder / "a.csv", index=False)
    options = {"stays": GOLDEN / "extract" / "stays.csv", "every": 0.0}
    model, letters = cg.load(GOLDEN / "bundle-2"), out / "_dead_letters"
    rounds = watch(model, folder, out=out, **options)
    first = next(rounds)
    assert {file.name for file in letters.iterdir()} == {
        "rows-ahead-of-the-feed.csv",
        "rows-ahead-of-the-feed.csv.json",
    }
    kept = pd.read_csv(letters / "rows-ahead-of-the-feed.csv")
    assert kept["value"].tolist() == [77.0]
    assert (letters / "rows-ahead-of-the-feed.csv").stat().st_mode & 0o077 == 0
    assert json.loads((letters / "rows-ahead-of-the-feed.csv.json").read_text())["rows"] == 1
    rows.iloc[half:].to_csv(folder / "b.csv", index=False)
    second = next(rounds)
    rows.iloc[:half].to_csv(folder / "a.csv", index=False)  # mended
    assert next(rounds) is None  # the same watermark
    assert not list(letters.iterdir())
    feed = tmp_path / "clean"
    feed.mkdir()
    for part, scores in ((rows.iloc[:half], first), (rows, second)):
        part.to_csv(feed / "a.csv", index=False)
        alone = next(watch(model, feed, out=tmp_path / "alone", **options))
        pd.testing.assert_frame_equal(*(table.drop(columns="scored_at") for table in (scores, alone)))


def watermark_of(times: list[str] | list[float], **options: float) -> int | None:
    rows = pd.DataFrame({"patient_id": "1", "stay_id": "1", "time": times, "variable": "heart_rate", "value": 80})
    return feed_watermark(cg.read_events(rows), max_ahead_hours=24, **options)


def test_what_is_ahead_of_a_feed():
    """By the clock where the feed is live; by a gap where its dates are others or it has none."""
    moments = ["2031-01-01 07:00", "2031-01-03 07:00", "2031-01-04 07:00", "2031-01-09 07:00"]
    instants = [pd.Timestamp(text).value // 1000 for text in moments]
    now = pd.Timestamp("2031-01-03 13:00").timestamp()
    assert watermark_of(moments, now=now) == instants[2]  # 18 hours ahead may be a local time
    assert watermark_of([*moments, "2199-01-01 00:00"], now=now) == instants[2]
    assert watermark_of([*moments, "2199-01-01 00:00"], now=pd.Timestamp("2026-01-01").timestamp()) == instants[3]
    assert watermark_of(moments, now=pd.Timestamp("2026-01-01").timestamp()) == instants[3]
    assert watermark_of([0, 1.5, 30, 20_000]) == round(30 * 3.6e9)
    assert watermark_of([0, 1.5, 30, 600]) == round(600 * 3.6e9)


def test_the_scores_do_not_lie_in_the_feed(tmp_path):
    model = cg.load(GOLDEN / "bundle-2")
    for out in (tmp_path / "scores", tmp_path, "scores.csv"):
        with pytest.raises(ArgumentError, match="besides the feed"):
            next(watch(model, tmp_path, out=out))
