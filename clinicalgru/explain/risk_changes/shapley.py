"""Shapley values of the variables that arrived at each time step: exact for a few, sampled for many."""

from __future__ import annotations

from math import comb
from typing import Protocol

import numpy as np

MAX_EXACT_PLAYERS = 8  # variables of one time step


class Game(Protocol):
    """A cooperative game per time step, whose players are the variables that arrived at it.

    Parameters
    ----------
    *args, **kwargs
        Not used: a protocol has no instances of its own.

    Attributes
    ----------
    players : ndarray of bool, shape (step, variable)
        Which variables arrived at each step.
    value_before, value_after : ndarray, shape (step,)
        The value of the empty coalition, and of all players.
    """

    players: np.ndarray
    value_before: np.ndarray
    value_after: np.ndarray

    def values(self, step: np.ndarray, coalition: np.ndarray) -> np.ndarray:
        """Compute the values of coalitions.

        Parameters
        ----------
        step : ndarray of int, shape (coalition,)
            The game of each coalition.
        coalition : ndarray of bool, shape (coalition, variable)
            Its members; at least one.

        Returns
        -------
        ndarray, shape (coalition,)
        """


def shapley(game: Game, *, n_permutations: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Compute the Shapley values of all players.

    Parameters
    ----------
    game : Game
        One game per time step.
    n_permutations : int
        Orders of arrival that are sampled, in antithetic pairs, where more than 8 variables arrived at once.
    rng : numpy.random.Generator
        Draws these orders.

    Returns
    -------
    value : ndarray, shape (step, variable)
        Shapley values; 0 where nothing arrived. Those of a step sum to value_after - value_before.
    error : ndarray, shape (step, variable)
        Standard errors; 0 where the values are exact.

    References
    ----------
    Shapley 1953. Antithetic permutations: Mitchell et al. 2022.
    """
    value, error = np.zeros(game.players.shape), np.zeros(game.players.shape)
    n_players = game.players.sum(axis=1)
    for count in np.unique(n_players[n_players > 0]):
        steps = np.flatnonzero(n_players == count)
        players = np.nonzero(game.players[steps])[1].reshape(len(steps), count)
        cell = steps[:, None], players
        if count <= MAX_EXACT_PLAYERS:
            value[cell] = _exact(game, steps, players)
        else:
            value[cell], error[cell] = _sampled(game, steps, players, n_permutations=n_permutations, rng=rng)
    return value, error


def _exact(game: Game, steps: np.ndarray, players: np.ndarray) -> np.ndarray:
    """(step, player) from all coalitions."""
    count = players.shape[1]
    member = (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1  # (coalition, player)
    coalition_value = _values(game, steps, players, np.broadcast_to(member, (len(steps), *member.shape)))
    size = member.sum(axis=1)
    value = np.empty(players.shape)
    for player in range(count):
        without = np.flatnonzero(~member[:, player])
        weight = 1 / (count * np.array([comb(count - 1, k) for k in size[without]]))
        value[:, player] = (coalition_value[:, without + 2**player] - coalition_value[:, without]) @ weight
    return value


def _sampled(
    game: Game, steps: np.ndarray, players: np.ndarray, *, n_permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(step, player) from random orders, each with its reverse; the error is that of the mean of such pairs."""
    count = players.shape[1]
    n_pairs = max(2, n_permutations // 2)
    forward = rng.permuted(np.broadcast_to(np.arange(count), (len(steps), n_pairs, count)), axis=2)
    rank = np.argsort(np.concatenate([forward, forward[:, :, ::-1]], axis=1), axis=2)  # (step, order, player)
    member = rank[:, :, None, :] < np.arange(count + 1)[:, None]  # (step, order, number of arrivals, player)
    coalition_value = _values(game, steps, players, member.reshape(len(steps), -1, count)).reshape(member.shape[:3])
    gain = np.take_along_axis(np.diff(coalition_value, axis=2), rank, axis=2)
    paired = (gain[:, :n_pairs] + gain[:, n_pairs:]) / 2
    return paired.mean(axis=1), paired.std(axis=1, ddof=1) / np.sqrt(n_pairs)


def _values(game: Game, steps: np.ndarray, players: np.ndarray, member: np.ndarray) -> np.ndarray:
    """(step, coalition) values; those of the empty coalition and of all players are known."""
    size = member.sum(axis=2)
    value = np.where(size == 0, game.value_before[steps][:, None], game.value_after[steps][:, None])
    step, coalition = np.nonzero((size > 0) & (size < member.shape[2]))
    variables = np.zeros((len(step), game.players.shape[1]), dtype=bool)
    variables[np.arange(len(step))[:, None], players[step]] = member[step, coalition]
    value[step, coalition] = game.values(steps[step], variables)
    return value
