"""Text tables that are not UTF-8 are converted before they are checked and read."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clinicalgru.data.ingest.compression import CHUNK, format_of, open_plain
from clinicalgru.errors import ArgumentError, InputError, describe, system_errors

UTF_8 = ("utf-8", "utf-8-sig", "ascii")


@dataclass(frozen=True)
class TextFormat:
    """How text tables are written; the arguments of `read_events` of the same names.

    Attributes
    ----------
    delimiter : str or None
        One character; None: found from the header.
    encoding : str
        Name of the encoding, as Python knows it.
    decimal : str
        Mark of decimals, "." or ",".
    joined : mapping of str to (str, str)
        Name of a column that is made of two, such as "Date + Time" -> the two.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    joined: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def is_utf_8(self) -> bool:
        """Whether text in the encoding is UTF-8 as it is."""
        return codecs.lookup(self.encoding).name in UTF_8

    @property
    def is_usual(self) -> bool:
        """Whether text is UTF-8 with decimal points, and no two columns are one."""
        return self.is_utf_8 and self.decimal == "." and not self.joined

    def as_utf_8(self, path: Path, make_folder: Callable[[], Path]) -> Path:
        """Convert a text table to UTF-8.

        Parameters
        ----------
        path : Path
            The file, plain or compressed.
        make_folder : callable
            Makes a folder for the converted text.

        Returns
        -------
        Path
            A plain file of the same name; the file itself where it is UTF-8, Parquet or empty.

        Raises
        ------
        InputError
            If a byte sequence has no meaning in the encoding.
        """
        if self.is_utf_8 or format_of(path) == "parquet":
            return path
        converted = make_folder() / path.name
        decoder, row = codecs.getincrementaldecoder(self.encoding)("strict"), 1
        with open_plain(path) as source, system_errors("temporary files"), converted.open("xb") as copy:
            try:
                while chunk := source.read(CHUNK):
                    text = decoder.decode(chunk)
                    row += text.count("\n")
                    copy.write(text.encode())
                copy.write(decoder.decode(b"", final=True).encode())
            except UnicodeError:
                fix = "Name the encoding that the table was written in, or export it as UTF-8."
                raise InputError(
                    f"text in {self.encoding}", "another encoding", fix, where=f"{path.name}, row {row} or later"
                ) from None
        return converted


PLAIN_TEXT = TextFormat()


def check_encoding(encoding: object) -> None:
    """Raise unless an encoding is one of text that Python knows.

    Parameters
    ----------
    encoding : object
        The argument.

    Raises
    ------
    ArgumentError
        If it is not.

    Examples
    --------
    >>> check_encoding("windows-1252")
    """
    fix = 'Pass a name such as "utf-8", "latin-1", "windows-1252" or "utf-16".'
    if not isinstance(encoding, str):
        raise ArgumentError("encoding as text", describe(encoding), fix)
    try:
        "".encode(encoding)
    except (LookupError, ValueError):
        raise ArgumentError("encoding as the name of one", f"{encoding!r:.40}", fix) from None
