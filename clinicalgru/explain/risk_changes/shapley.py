"""Shapley values of the variables that arrived at each step: exact for a few, sampled for many."""

from __future__ import annotations

from math import comb
from typing import Protocol

import numpy as np

EXACT = 8  # variables at once


class Game(Protocol):
    """Steps, at each of which some variables arrived, and the number for every coalition of them."""

    arrived: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def numbers(self, step: np.ndarray, there: np.ndarray) -> np.ndarray:
        """(coalition,) of steps (coalition,) and who is there (coalition, variable), at least one."""


def shapley(game: Game, *, n_permutations: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(step, variable) Shapley values, 0 where nothing arrived, and their standard errors.

    Values of a step sum to after - before, sampled or not.
    """
    value, error = np.zeros(game.arrived.shape), np.zeros(game.arrived.shape)
    players = game.arrived.sum(axis=1)
    for count in np.unique(players[players > 0]):
        steps = np.flatnonzero(players == count)
        who = np.nonzero(game.arrived[steps])[1].reshape(len(steps), count)
        cell = steps[:, None], who
        if count <= EXACT:
            value[cell] = _exact(game, steps, who)
        else:
            value[cell], error[cell] = _sampled(game, steps, who, n_permutations=n_permutations, chance=chance)
    return value, error


def _exact(game: Game, steps: np.ndarray, who: np.ndarray) -> np.ndarray:
    """(step, player) from all coalitions."""
    count = who.shape[1]
    there = (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1  # (coalition, player)
    number = _numbers(game, steps, who, np.broadcast_to(there, (len(steps), *there.shape)))
    size = there.sum(axis=1)
    value = np.empty(who.shape)
    for player in range(count):
        without = np.flatnonzero(~there[:, player])
        weight = 1 / (count * np.array([comb(count - 1, k) for k in size[without]]))
        value[:, player] = (number[:, without + 2**player] - number[:, without]) @ weight
    return value


def _sampled(
    game: Game, steps: np.ndarray, who: np.ndarray, *, n_permutations: int, chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(step, player) from random orders, each with its reverse; the error is that of the mean of such pairs."""
    count = who.shape[1]
    pairs = max(2, n_permutations // 2)
    forth = chance.permuted(np.broadcast_to(np.arange(count), (len(steps), pairs, count)), axis=2)
    rank = np.argsort(np.concatenate([forth, forth[:, :, ::-1]], axis=1), axis=2)  # (step, order, player)
    there = rank[:, :, None, :] < np.arange(count + 1)[:, None]  # (step, order, how many have come, player)
    number = _numbers(game, steps, who, there.reshape(len(steps), -1, count)).reshape(there.shape[:3])
    gain = np.take_along_axis(np.diff(number, axis=2), rank, axis=2)
    paired = (gain[:, :pairs] + gain[:, pairs:]) / 2
    return paired.mean(axis=1), paired.std(axis=1, ddof=1) / np.sqrt(pairs)


def _numbers(game: Game, steps: np.ndarray, who: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(step, coalition) numbers; of nobody and of all they are known."""
    size = there.sum(axis=2)
    number = np.where(size == 0, game.before[steps][:, None], game.after[steps][:, None])
    step, coalition = np.nonzero((size > 0) & (size < there.shape[2]))
    wide = np.zeros((len(step), game.arrived.shape[1]), dtype=bool)
    wide[np.arange(len(step))[:, None], who[step]] = there[step, coalition]
    number[step, coalition] = game.numbers(steps[step], wide)
    return number
