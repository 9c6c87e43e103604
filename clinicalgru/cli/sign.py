"""The commands that sign a bundle, and verify who signed one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinicalgru.cli.options import Bundle


def register(app: typer.Typer) -> None:
    """Add the commands to an application.

    Parameters
    ----------
    app : Typer
        The application.
    """
    app.command()(sign)
    app.command()(verify)


def sign(
    bundle: Bundle,
    key: Annotated[Path, typer.Option(help="Ed25519 private key in PEM: openssl genpkey -algorithm ed25519")],
) -> None:
    """Sign a bundle, so that others can tell who made it.

    Example: clinicalgru sign out/mine/bundle --key key.pem
    \f
    Parameters
    ----------
    bundle, key : Path
        Folder of the bundle, and file of the private key.
    """
    from clinicalgru.serve.sign import sign as sign_bundle

    typer.echo(f"signed: {sign_bundle(bundle, key)}")


def verify(
    bundle: Bundle,
    key: Annotated[Path, typer.Option(help="Ed25519 public key in PEM: openssl pkey -in key.pem -pubout")],
) -> None:
    """Check that a bundle is whole and signed by a key; exit 8 where it is not signed by it.

    Example: clinicalgru verify out/mine/bundle --key key.pub
    \f
    Parameters
    ----------
    bundle, key : Path
        Folder of the bundle, and file of the public key.
    """
    from clinicalgru.serve.sign import verify as verify_bundle

    verify_bundle(bundle, key)
    typer.echo("The bundle is whole, and signed by this key.")
