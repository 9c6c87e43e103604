"""Integrals along the lines: Simpson's rule, refined where heights show that it is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clinicalgru.explain.path import Lines, Sampled

INTERVALS, ROUNDS = 5, 40  # at first; and how often at most the worst are halved
ROWS = 2**15  # steps of all places looked at together


@dataclass(frozen=True, eq=False)
class Integrated:
    """What each stay owes to each of its measurements and descriptors.

    parts   (3, fact)       value, measured, timing
    static  (stay, static)
    coded   (coded event,)
    bottom, top  (stay,)    the number with nothing measured, and of the stay
    gap     (stay,)         what the parts leave of their difference
    places  (stay,)         how many places of each line were looked at
    """

    parts: np.ndarray
    static: np.ndarray
    coded: np.ndarray
    bottom: np.ndarray
    top: np.ndarray
    gap: np.ndarray
    places: np.ndarray


@dataclass(frozen=True, eq=False)
class Pieces:
    """Intervals of lines: stay, where each begins, its width, and which places are its left, middle and right one."""

    stay: np.ndarray
    begin: np.ndarray
    width: np.ndarray
    left: np.ndarray
    middle: np.ndarray
    right: np.ndarray

    def __getitem__(self, which: np.ndarray) -> Pieces:
        return Pieces(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def and_(self, other: Pieces) -> Pieces:
        """These and the other ones."""
        return Pieces(
            *(np.concatenate([getattr(part, name) for part in (self, other)]) for name in self.__dataclass_fields__)
        )

    def off(self, height: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """(piece,) how wrong Simpson's rule is: the rise that heights tell, less what slopes say."""
        simpson = slope[self.left] + 4 * slope[self.middle] + slope[self.right]
        return height[self.right] - height[self.left] - self.width / 6 * simpson

    def weights(self, places: int) -> np.ndarray:
        """(place,) of Simpson's rule."""
        weight = np.zeros(places)
        for of, share in ((self.left, 1), (self.middle, 4), (self.right, 1)):
            np.add.at(weight, of, share * self.width / 6)
        return weight


def integrated(lines: Lines, *, tolerance: float) -> Integrated:
    """Integrated gradients along each line, refined until the completeness gap of each is within the tolerance.

    tolerance  as a part of what counts as a difference of 1, such as log-odds
    returns    for the stays as they stand in `lines.stays`

    An interval is halved where the rise of the number is not what the slopes in it say. Along a line the network is
    smooth but for its rectifiers; where many of them switch, more places are needed.

    Source: Sundararajan et al. 2017; adaptive Simpson, Lyness 1969. DIFF: the error of an interval is known.
    """
    pieces, stay, place = _first(len(lines.stays))
    blocks = _sampled(lines, stay, place)
    for _ in range(ROUNDS):
        height, slope = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("height", "slope"))
        worst = _worst(pieces, pieces.off(height, slope), len(lines.stays), tolerance * lines.asked.spread)
        if not len(worst):
            break
        halves, where = _halved(pieces[worst], len(height))
        pieces = pieces[np.setdiff1d(np.arange(len(pieces.stay)), worst)].and_(halves)
        blocks += _sampled(lines, np.repeat(pieces.stay[-len(worst) :], 2), where)
        stay = np.concatenate([stay, np.repeat(pieces.stay[-len(worst) :], 2)])
    return _summed(lines, blocks, pieces, stay)


def _first(stays: int) -> tuple[Pieces, np.ndarray, np.ndarray]:
    """Equal intervals of all lines, and their places."""
    grid = np.linspace(0, 1, 2 * INTERVALS + 1)
    stay, number = np.repeat(np.arange(stays), INTERVALS), np.tile(np.arange(INTERVALS), stays)
    left = stay * len(grid) + 2 * number
    pieces = Pieces(stay, grid[2 * number], np.full(len(stay), 1 / INTERVALS), left, left + 1, left + 2)
    return pieces, np.repeat(np.arange(stays), len(grid)), np.tile(grid, stays)


def _worst(pieces: Pieces, off: np.ndarray, stays: int, tolerance: float) -> np.ndarray:
    """Of lines whose gap is too large, the intervals that are at least half as wrong as the worst of them."""
    gap = np.bincount(pieces.stay, off, minlength=stays)
    largest = np.zeros(stays)
    np.maximum.at(largest, pieces.stay, np.abs(off))
    return np.flatnonzero((np.abs(gap) > tolerance)[pieces.stay] & (np.abs(off) >= largest[pieces.stay] / 2))


def _halved(pieces: Pieces, places: int) -> tuple[Pieces, np.ndarray]:
    """Both halves of each interval, the left ones first, and their new middles, two for each."""
    first = places + 2 * np.arange(len(pieces.stay))
    half = pieces.width / 2
    left = replace(pieces, width=half, middle=first, right=pieces.middle)
    right = replace(pieces, begin=pieces.begin + half, width=half, left=pieces.middle, middle=first + 1)
    where = np.stack([pieces.begin + half / 2, pieces.begin + 3 * half / 2], axis=1)
    return left.and_(right), where.ravel()


def _sampled(lines: Lines, stay: np.ndarray, place: np.ndarray) -> list[Sampled]:
    """The places in turn, as many together as have some ten thousand steps."""
    rows = np.cumsum(lines.steps[stay])
    cuts = np.flatnonzero(np.diff(rows // ROWS)) + 1
    return [lines.at(*both) for both in zip(np.split(stay, cuts), np.split(place, cuts), strict=True)]


def _summed(lines: Lines, blocks: list[Sampled], pieces: Pieces, stay: np.ndarray) -> Integrated:
    height, slope = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("height", "slope"))
    weight, stays, done = pieces.weights(len(height)), lines.stays, 0
    parts, static = np.zeros((3, len(stays.value))), np.zeros((len(stays), len(stays.statics)))
    coded = np.zeros(len(stays.code))
    for block in blocks:
        places = slice(done, done + len(block.height))
        by_fact, by_event = weight[places][block.of], weight[places][block.of_event]
        parts += [np.bincount(block.fact, by_fact * part, minlength=parts.shape[1]) for part in block.parts]
        np.add.at(static, stay[places], weight[places, None] * block.static)
        np.add.at(coded, block.event, by_event * block.coded)
        done += len(block.height)
    ends = np.arange(len(stays)) * (2 * INTERVALS + 1)
    bottom, top = height[ends], height[ends + 2 * INTERVALS]
    gap = top - bottom - np.bincount(stay, weight * slope, minlength=len(stays))
    return Integrated(parts, static, coded, bottom, top, gap, np.bincount(stay, minlength=len(stays)))
