"""Several processes that learn as one: each takes a share of every batch, and their gradients are added up.

Under torchrun, with a process group of `torch.distributed`, a training step is

    mine = my_share(stays)
    if len(mine):
        weighted(loss_of(mine), len(mine), len(stays)).backward()
    add_up(network)
    optimizer.step()

and gives the weights that one process would have with the whole batch. With one process nothing changes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributed as group

from clinicalgru.data.sequences import Sequences


def processes() -> tuple[int, int]:
    """Which process this is, from 0, and how many there are.

    >>> processes()
    (0, 1)
    """
    if group.is_available() and group.is_initialized():
        return group.get_rank(), group.get_world_size()
    return 0, 1


def my_share(stays: Sequences) -> Sequences:
    """The stays of a batch that are this process's to learn from: every n-th; all of them where there is one process.

    Chance that concerns single measurements is to be drawn before, for the whole batch, alike in all processes.
    """
    rank, count = processes()
    return stays[rank::count]


def weighted(loss: Tensor, mine: int, all_of_them: int) -> Tensor:
    """The part of the mean loss over a whole batch that the mean loss over so many of its stays (or points) makes up.

    >>> weighted(torch.tensor(2.0), 1, 4).item()
    0.5
    """
    return loss * (mine / all_of_them)


def add_up(network: nn.Module) -> None:
    """Replace each gradient by its sum over the processes; one that a process does not have counts as 0."""
    if processes()[1] == 1:
        return
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    flat = torch.cat([p.grad.flatten() if p.grad is not None else torch.zeros_like(p).flatten() for p in learned])
    group.all_reduce(flat)
    for parameter, gradient in zip(learned, flat.split([p.numel() for p in learned]), strict=True):
        parameter.grad = gradient.view_as(parameter).clone()
