"""Random numbers of the network: initial parameters and dropout masks, drawn from a generator of its own.

The generator is set for a context with `use_generator`. Threads do not share it, so that fits in several threads, and
whoever draws from torch's global generator meanwhile, do not disturb each other. Outside of such a context torch's
global generator is used, as in any PyTorch module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_generator: ContextVar[torch.Generator | None] = ContextVar("clinicalgru_generator", default=None)


@contextmanager
def use_generator(generator: torch.Generator) -> Iterator[None]:
    """Draw initial parameters and dropout masks from this generator within the context.

    Parameters
    ----------
    generator : torch.Generator
        A generator on the CPU.

    Yields
    ------
    None

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.network.generator import normal, use_generator
    >>> with use_generator(torch.Generator().manual_seed(0)):
    ...     first = normal(2, 3)
    >>> with use_generator(torch.Generator().manual_seed(0)):
    ...     second = normal(2, 3)
    >>> torch.equal(first, second)
    True
    """
    token = _generator.set(generator)
    try:
        yield
    finally:
        _generator.reset(token)


def sizes_only() -> bool:
    """Whether modules are made without memory, to learn their sizes: within `torch.device("meta")`.

    Returns
    -------
    bool
        Then nothing is drawn or computed: on the meta device that would load torch's compiler, which takes seconds.
    """
    return torch.empty(0, dtype=torch.float32).is_meta


def normal(*shape: int, divisor: float = 1.0) -> Tensor:
    """Normal numbers of mean 0, from the generator of the context.

    Parameters
    ----------
    *shape : int
        Length of each axis.
    divisor : float
        Standard normal numbers are divided by it.

    Returns
    -------
    Tensor of float32, of this shape
    """
    if sizes_only():
        return torch.empty(*shape, dtype=torch.float32)
    return torch.randn(*shape, generator=_generator.get(), dtype=torch.float32) / divisor


class _Linear(nn.Linear):
    """`nn.Linear` whose weights are not drawn; `nn.utils.skip_init` would load sympy, which takes half a second."""

    def reset_parameters(self) -> None:
        """Nothing: `linear` draws the weights."""


def linear(n_inputs: int, n_outputs: int, *, bias: bool = True) -> nn.Linear:
    """A float32 `nn.Linear` with PyTorch's default initialisation, from the generator of the context.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Sizes of the last axis before and after.
    bias : bool
        Whether a bias is added.

    Returns
    -------
    nn.Linear
    """
    layer = _Linear(n_inputs, n_outputs, bias=bias, dtype=torch.float32)
    if sizes_only():
        return layer
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=_generator.get())
    if bias:
        bound = 1 / math.sqrt(n_inputs) if n_inputs else 0.0
        nn.init.uniform_(layer.bias, -bound, bound, generator=_generator.get())
    return layer


def orthogonal_(weight: Tensor) -> None:
    """Fill a matrix with an orthogonal one, from the generator of the context.

    Parameters
    ----------
    weight : Tensor of two axes or more
        Changed in place. Its rows or its columns, whichever are fewer, become orthonormal.

    References
    ----------
    Saxe et al. 2014.
    """
    if not weight.is_meta:
        nn.init.orthogonal_(weight, generator=_generator.get())


def random_dropout_mask(like: Tensor, dropout: float) -> Tensor:
    """A random dropout mask, from the generator of the context; drawn on the CPU, so that the bits are the same.

    Parameters
    ----------
    like : Tensor, any shape
        Gives the shape, type and device of the mask.
    dropout : float
        Probability of a 0, in [0, 1).

    Returns
    -------
    Tensor, of that shape
        0 with this probability, else 1 / (1 - dropout).
    """
    mask = torch.empty(like.shape, dtype=like.dtype).bernoulli_(1 - dropout, generator=_generator.get())
    return mask.div_(1 - dropout).to(like.device)


class Dropout(nn.Module):
    """Dropout whose masks come from the generator of the context; the bits are those of `nn.Dropout`.

    Parameters
    ----------
    dropout : float
        Probability that a number is set to 0 while training; in [0, 1).

    References
    ----------
    Srivastava et al. 2014.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs, while training times a dropout mask.

        Parameters
        ----------
        inputs : Tensor, any shape
            The numbers.

        Returns
        -------
        Tensor, of that shape
        """
        if not self.training or self.dropout == 0 or inputs.numel() == 0:
            return inputs
        return inputs * random_dropout_mask(inputs, self.dropout)
