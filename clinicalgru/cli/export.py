"""The command that exports a bundle as an ONNX graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from clinicalgru.cli.options import AsJson, Bundle, RequireSignature, reading_command


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app)(export)


def export(
    reading: dict[str, Any],
    bundle: Bundle,
    out: Annotated[Path, typer.Option(help="folder for model.onnx, contract.json and run_onnx.py")],
    extract: Annotated[str | None, typer.Option(help="extract to measure the differences from the bundle on")] = None,
    require_signature: RequireSignature = None,
    int8: Annotated[bool, typer.Option("--int8", help="weights of 8 bits; needs --extract")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a bundle as one ONNX graph of its whole scoring function, with its contract and a program that runs it.

    The graph is compared with the bundle first. With --extract, the differences are measured on its stays, and with
    --outcomes also the accuracy.

    Example: clinicalgru export out/mine/bundle --out onnx --extract test.parquet --outcomes outcomes.csv --int8
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, out : Path
        Folder of the bundle, and the folder to write.
    extract : str or None
        An extract to compare on.
    require_signature : Path or None
        Public key of who must have signed the bundle.
    int8, as_json : bool
        Whether weights are stored in 8 bits; whether JSON is printed.
    """
    from clinicalgru.serve.onnx.export import CONTRACT, export_onnx

    folder = export_onnx(bundle, out, extract, int8=int8, require_signature=require_signature, **reading)
    measured = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))["measured"]
    lines = [f"{name.replace('_', ' '):<42}{value:>14.6g}" for name, value in measured.items()]
    typer.echo(json.dumps(measured) if as_json else "\n".join([*lines, f"{'written to':<42}{folder}"]))
