"""Spark gives the scores of one process: each stay once, also where tasks fail and are tried again."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.serve import spark as scoring
from clinicalgru.serve.spark import as_of_name, columns_of_scores

LATER = "2150-01-01"
RUN = ["run_id", "input_hash", "scored_at", "as_of"]


def test_as_of_must_be_given_and_what_spark_lacks_is_refused(fitted):
    pytest.importorskip("pyspark")
    with pytest.raises(cg.ClinicalGRUError, match="as_of with engine='spark'"):
        cg.score(fitted, "m.parquet", engine="spark")
    with pytest.raises(cg.ClinicalGRUError, match="got strict, resume"):
        cg.score(fitted, "m.parquet", engine="spark", as_of=LATER, strict=True, resume=True)
    with pytest.raises(cg.ClinicalGRUError, match="engine"):
        cg.score(fitted, "m.parquet", engine="ray")


def test_without_pyspark_one_sentence_says_what_to_install(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(cg.ClinicalGRUError, match=r"clinicalgru\[spark\]"):
        cg.score(fitted, "m.parquet", engine="spark", as_of=LATER)


def test_the_columns_are_those_of_a_local_run(fitted, cohort):
    local = cg.score(fitted, cohort.measurements[:2000], stays=cohort.stays, as_of=LATER)
    assert columns_of_scores(fitted) == list(local)
    assert as_of_name("2031-01-01T06:00") == "2031-01-01T06:00:00"


@pytest.fixture(scope="module")
def session():
    sql = pytest.importorskip("pyspark.sql")
    builder = sql.SparkSession.builder.master("local[2, 3]").config("spark.ui.enabled", "false")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
        yield session
        session.stop()


@pytest.mark.slow
def test_each_stay_once_with_the_risk_of_a_local_run_also_when_tasks_fail(
    fitted, cohort, session, tmp_path, monkeypatch
):
    monkeypatch.setattr(scoring, "PART_PATIENTS", 25)
    chosen = cohort.stays[:50]
    rows = cohort.measurements[cohort.measurements["stay_id"].isin(chosen["stay_id"])]
    rows.to_parquet(tmp_path / "m.parquet")
    chosen.to_parquet(tmp_path / "s.parquet")
    local = cg.score(fitted, tmp_path / "m.parquet", stays=tmp_path / "s.parquet", as_of=LATER)

    def fails_once(batches):
        from pyspark import TaskContext

        if TaskContext.get().attemptNumber() == 0:
            raise RuntimeError("lost")
        yield from batches

    table = session.read.parquet(str(tmp_path / "m.parquet"))
    flaky = table.mapInArrow(fails_once, table.schema)
    where = {"stays": str(tmp_path / "s.parquet"), "out": str(tmp_path / "scores"), "as_of": LATER}
    scores = cg.score(fitted, flaky, engine="spark", **where)
    got = pd.DataFrame([row.asDict() for row in scores.collect()])[local.columns]
    got = got.sort_values(["patient_id", "stay_id"], ignore_index=True)
    assert np.abs(got["risk"] - local["risk"]).max() < 1e-6
    others = [name for name in local if name not in ("risk", "risk_low", "risk_high", *RUN)]
    assert got[others].astype(str).equals(local[others].astype(str))
    assert [part.name for part in (tmp_path / "scores").iterdir()] == ["as_of=2150-01-01T00%3A00%3A00"]
    with pytest.raises(cg.ClinicalGRUError, match="existing"):
        cg.score(fitted, table, engine="spark", **where)
