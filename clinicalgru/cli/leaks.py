"""The command that looks for leaks from the future in a bundle."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clinicalgru.cli.options import AsJson, Bundle, Extract, Page, RequireSignature, Seed, reading_command, show_result


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    reading_command(app)(leaks)


def leaks(
    reading: dict[str, Any],
    bundle: Bundle,
    extract: Extract,
    stays_compared: Annotated[int, typer.Option(help="stays whose risks are compared", min=2)] = 50,
    random_state: Seed = 0,
    require_signature: RequireSignature = None,
    page: Page = None,
    as_json: AsJson = False,
) -> None:
    """Change all that is not known when a risk is due, and see whether the risks of a bundle move. Exit code 1: a leak.

    Example: clinicalgru leaks out/mine/bundle labs.csv.gz --stays stays.csv --outcomes outcomes.csv --page leaks.html
    \f
    Parameters
    ----------
    reading : dict
        How the extract is read, where it differs from the training extract of the bundle.
    bundle, extract : Path, str
        Folder of the bundle, and the extract.
    stays_compared, random_state : int
        How many stays, and the seed that draws them.
    require_signature : Path or None
        Public key of who must have signed the bundle.
    page, as_json : Path or None, bool
        A page to write, and whether JSON is printed.

    Raises
    ------
    Exit
        With code 1 where a leak was found.
    """
    from clinicalgru.leakage.no_future import check_no_future
    from clinicalgru.serve.bundle import load_model
    from clinicalgru.serve.score_input import read_like_training

    model = load_model(bundle, require_signature=require_signature)
    events = read_like_training(model, extract, **reading)
    check = check_no_future(model, events, n_stays=stays_compared, random_state=random_state)
    show_result(check, as_json=as_json, page=page, exit_code=0 if check.passed else 1)
