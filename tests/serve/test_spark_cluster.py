"""Spark beyond one process: Spark Connect, and a cluster of which a worker is killed in the middle of a job."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clinicalgru as cg

pytestmark = pytest.mark.lab
LATER = "2150-01-01"
RUN = """
import json, sys
import clinicalgru as cg
from clinicalgru.serve import spark
spark.PART_PATIENTS = 10
given = json.loads(sys.argv[1])
spark.start_session(**given.pop("session"))
cg.score(engine="spark", **given)
"""


@pytest.fixture(scope="module")
def extract(fitted, cohort, tmp_path_factory):
    """A folder with an extract of 100 stays, the bundle and the scores of a local run."""
    folder, chosen = tmp_path_factory.mktemp("extract"), cohort.stays[:100]
    rows = cohort.measurements[cohort.measurements["stay_id"].isin(chosen["stay_id"])]
    rows.to_parquet(folder / "m.parquet")
    chosen.to_parquet(folder / "s.parquet")
    cg.save(fitted, folder / "bundle")
    local = cg.score(fitted, folder / "m.parquet", stays=folder / "s.parquet", as_of=LATER)
    return folder, local


def start(extract: Path, out: Path, **session: object) -> subprocess.Popen[bytes]:
    given = {"model": extract / "bundle", "data": extract / "m.parquet", "stays": extract / "s.parquet", "out": out}
    given = {name: str(path) for name, path in given.items()} | {"as_of": LATER, "session": session}
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
    return subprocess.Popen([sys.executable, "-c", RUN, json.dumps(given)], env=environment)


def check(out: Path, local: pd.DataFrame) -> None:
    got = pd.concat([pd.read_parquet(part) for part in out.rglob("part-*.parquet")])
    got = got.sort_values(["patient_id", "stay_id"], ignore_index=True)
    assert got["stay_id"].tolist() == local["stay_id"].tolist()
    assert got["status"].tolist() == local["status"].tolist()
    assert np.abs(got["risk"] - local["risk"]).max() < 1e-6


def test_spark_connect_gives_the_scores_of_a_local_run(extract, tmp_path):
    pytest.importorskip("grpc")
    assert start(extract[0], tmp_path / "scores", remote="local").wait(900) == 0
    check(tmp_path / "scores", extract[1])


def spark_class(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    import pyspark

    program = Path(pyspark.__file__).parent / "bin" / "spark-class"
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_NO_DAEMONIZE": "1"}
    return subprocess.Popen([program, name, *arguments], env=environment, start_new_session=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def python_workers(folder: Path) -> int:
    """Number of Python processes of the executors of a machine, by its folder: their daemon and its workers."""
    import psutil

    found = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += process.name().startswith("python") and Path(process.cwd()).is_relative_to(folder)
    return found


def test_a_worker_that_is_killed_costs_no_stay_and_doubles_none(extract, tmp_path):
    pytest.importorskip("pyspark")
    pytest.importorskip("psutil")
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    place = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
    processes = [spark_class("org.apache.spark.deploy.master.Master", *place)]
    try:
        time.sleep(15)
        for number in range(2):
            folder = tmp_path / f"work-{number}"
            options = ["--host", "127.0.0.1", "--cores", "1", "--memory", "2g", "--webui-port", "0", "-d", str(folder)]
            processes.append(spark_class("org.apache.spark.deploy.worker.Worker", *options, address))
        job = start(extract[0], tmp_path / "scores", master=address)
        killed = threading.Event()

        def kill() -> None:
            """As soon as a Python worker of the second machine scores, that machine is gone with all it started."""
            deadline = time.monotonic() + 1000
            while time.monotonic() < deadline and job.poll() is None:
                if python_workers(tmp_path / "work-1") > 1:
                    os.killpg(processes[2].pid, signal.SIGKILL)
                    killed.set()
                    return
                time.sleep(0.1)

        threading.Thread(target=kill, daemon=True).start()
        assert job.wait(2400) == 0
        assert killed.is_set(), "the job ended before a worker scored"
        check(tmp_path / "scores", extract[1])
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
