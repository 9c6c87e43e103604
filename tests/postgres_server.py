"""A PostgreSQL server on this machine alone, for the tests of what reads databases."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def server_programs() -> Path | None:
    """The folder of initdb and pg_ctl, the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda file: float(file.parts[-3]))
    on_path = shutil.which("pg_ctl")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of an empty database `postgres` of a server started here and stopped at the end of the session.

    Skipped where the server's programs are not installed (Debian: apt-get install postgresql). The server refuses to
    run as root: then it runs as the user postgres, which the package makes.
    """
    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs (initdb, pg_ctl) in /usr/lib/postgresql/*/bin or on PATH")
    root = os.geteuid() == 0
    user = "postgres" if root else getpass.getuser()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        if root:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), *arguments]
            # output goes to a file: pg_ctl leaves its pipe to the server, and a pipe's reader would wait for its end
            with open(Path(folder) / f"{program}.out", "wb") as out:
                subprocess.run(
                    command, check=True, timeout=60, cwd=folder, stdout=out, stderr=out, user=user if root else None
                )

        data = f"{folder}/data"
        run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        quiet = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        where = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} {quiet}"
        run("pg_ctl", "start", "-w", "-D", data, "-l", f"{folder}/server.log", "-o", where)
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", data)
