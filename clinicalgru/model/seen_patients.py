"""Which patients a model was trained, calibrated or pretrained on, as salted hashes: figures on them would flatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import numpy as np
import pandas as pd

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.errors import BundleError, TrainingError

SALT, HASHES = "seen_patients.salt", "seen_patients.hashes"  # names of the arrays in a bundle
CALIBRATION, PRETRAINING = "calibration_patients.", "pretraining_patients."  # how the names of their arrays begin
SALT_BYTES, HASH_BYTES = 16, 8


@dataclass(frozen=True, eq=False)
class SeenPatients:
    """Salted hashes of patients: those of training and validation stays, of calibration or of pretraining.

    Parameters
    ----------
    salt : bytes
        16 bytes, other ones for each set of patients.
    hashes : ndarray of uint64, shape (patient,)
        Ascending; 8 bytes of BLAKE2b of the salt and the identifier.

    Notes
    -----
    The salt is a hash of all the identifiers, so that equal fits give equal bundles. No identifier can be read from a
    hash. Whoever holds the bundle and already knows an identifier can test whether it is among the patients: give
    pseudonyms to identifiers before training (`clinicalgru.deidentify`) where that matters.

    References
    ----------
    BLAKE2, with a salt: RFC 7693, Saarinen and Aumasson 2015.

    Examples
    --------
    >>> from clinicalgru import Task, read_events, select, simulate
    >>> stays = select(read_events(simulate(60)), Task.load("in_hospital_mortality"))
    >>> seen = SeenPatients.of(stays[:30])
    >>> bool(seen.includes(stays[:30]).all())
    True
    """

    salt: bytes
    hashes: np.ndarray

    @classmethod
    def of(cls, *parts: Sequences) -> Self:
        """Give the patients of some stays.

        Parameters
        ----------
        *parts : Sequences
            Stays, such as training stays and validation stays.

        Returns
        -------
        SeenPatients
            Each patient once.
        """
        names = np.unique(np.concatenate([np.unique(_names(stays)) for stays in parts]))
        salt = blake2b("\0".join(names.tolist()).encode(), digest_size=SALT_BYTES).digest()
        return cls(salt, np.sort(_hashed(names, salt)))

    def includes(self, stays: Sequences) -> np.ndarray:
        """Give whether the patient of each stay is among these.

        Parameters
        ----------
        stays : Sequences
            Any stays.

        Returns
        -------
        ndarray of bool, shape (stay,)
            True: a stay of that patient was seen.
        """
        number, names = pd.factorize(_names(stays))
        return np.asarray(np.isin(_hashed(np.asarray(names), self.salt), self.hashes)[number])

    def refuse(self, stays: Sequences, purpose: str) -> None:
        """Raise if any of the stays is of a patient that was seen.

        Parameters
        ----------
        stays : Sequences
            Stays that something is to be fitted on.
        purpose : str
            What they are for, such as "calibrate on".

        Raises
        ------
        TrainingError
            With the number of such stays.
        """
        n_seen = int(self.includes(stays).sum())
        if n_seen:
            expected = f"stays to {purpose} of patients that neither training nor early stopping saw"
            got = f"{n_seen:,} of {len(stays):,} stays of patients that were seen"
            fix = (
                "Hold stays back before fit, by split_patients(stays, [0.7, 0.15, 0.15]) for training, validation and "
                "calibration, or use GRUEnsemble, which calibrates out of fold. Where other people of another source "
                "have the same identifiers, read it with a prefix before each identifier."
            )
            raise TrainingError(expected, got, fix)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Give salt and hashes as arrays, for a bundle.

        Returns
        -------
        dict of str to ndarray
            Arrays by name.
        """
        return {SALT: np.frombuffer(self.salt, dtype=np.uint8), HASHES: self.hashes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Restore what `to_arrays` gave.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Arrays of a bundle.

        Returns
        -------
        SeenPatients
            The patients.

        Raises
        ------
        BundleError
            If the arrays are missing, or of another form.
        """
        if not {SALT, HASHES} <= set(arrays):
            fix = "Save the model again with this version."
            raise BundleError("hashes of the patients that training saw", "a bundle without them", fix)
        salt, hashes = arrays[SALT], arrays[HASHES]
        forms = (salt.dtype, salt.shape, hashes.dtype, hashes.ndim)
        if forms != (np.uint8, (SALT_BYTES,), np.uint64, 1):
            fix = "Save the model again."
            raise BundleError("hashes of patients as save() writes them", "arrays of another form", fix)
        return cls(salt.tobytes(), hashes)


def with_patients(parts: tuple[SeenPatients, ...], stays: Sequences) -> tuple[SeenPatients, ...]:
    """Add the patients of some stays to those of earlier ones.

    Parameters
    ----------
    parts : tuple of SeenPatients
        One entry for each calibration, recalibration or choice of a threshold.
    stays : Sequences
        Stays of a further one.

    Returns
    -------
    tuple of SeenPatients
        As before where these patients are an entry already.
    """
    new = SeenPatients.of(stays)
    return parts if any(part.salt == new.salt for part in parts) else (*parts, new)


def patient_arrays(parts: Sequence[SeenPatients], *, prefix: str) -> dict[str, np.ndarray]:
    """Give the patients of each calibration, or of pretraining, as arrays for a bundle.

    Parameters
    ----------
    parts : sequence of SeenPatients
        One entry for each calibration, recalibration or pretraining.
    prefix : str
        CALIBRATION or PRETRAINING.

    Returns
    -------
    dict of str to ndarray
        Arrays by name, each with the number of its entry.
    """
    arrays = [part.to_arrays() for part in parts]
    return {f"{prefix}{n}.{name}": array for n, part in enumerate(arrays) for name, array in part.items()}


def split_patient_arrays(
    arrays: Mapping[str, np.ndarray], *, prefix: str
) -> tuple[dict[str, np.ndarray], tuple[SeenPatients, ...]]:
    """Split the arrays of a bundle into all others and the patients that `patient_arrays` wrote.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Arrays of a bundle; one of an earlier version holds no such patients.
    prefix : str
        CALIBRATION or PRETRAINING.

    Returns
    -------
    arrays : dict of str to ndarray
        All others.
    patients : tuple of SeenPatients
        One entry for each calibration, recalibration or pretraining.

    Raises
    ------
    BundleError
        If an entry is incomplete, or of another form.
    """
    own = {name: array for name, array in arrays.items() if not name.startswith(prefix)}
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name in sorted(arrays.keys() - own.keys()):
        number, _, field = name.removeprefix(prefix).partition(".")
        parts.setdefault(number, {})[field] = arrays[name]
    return own, tuple(SeenPatients.from_arrays(part) for part in parts.values())


def _names(stays: Sequences) -> np.ndarray:
    """Identifiers as text; patients of different synthetic cohorts are different, whatever they are called."""
    names = np.asarray(stays.patient).astype(str).astype(object)
    return names + f"\0{stays.source}" if stays.simulated else names


def _hashed(names: np.ndarray, salt: bytes) -> np.ndarray:
    digests = b"".join(blake2b(name.encode(), digest_size=HASH_BYTES, salt=salt).digest() for name in names.tolist())
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
