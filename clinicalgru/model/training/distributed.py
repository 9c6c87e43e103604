"""Several processes that learn as one: each takes a share of every batch, and their gradients are added up.

Start a program that calls `torch.distributed.init_process_group` and then `fit` under torchrun: each process is given
the same stays and arguments, and ends with the weights that one process would have with the whole batch. With one
process nothing changes. The first one alone shows progress and writes checkpoints.

What is chance is drawn alike where it can be: the order of the stays, and which measurements are left out. Dropout, and
which steps of an early warning or a forecast are asked, are drawn by each process for its own stays; with them the
weights are as good, but not the same. So it is, by a little, with auxiliary outcomes and forecasts, whose losses are
means over what is known: a process's part counts as its stays do in the main loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch import distributed as group

from clinicalgru.data.sequences.sequences import Sequences


def processes() -> tuple[int, int]:
    """Which process this is, from 0, and how many there are.

    >>> processes()
    (0, 1)
    """
    if group.is_available() and group.is_initialized():
        return group.get_rank(), group.get_world_size()
    return 0, 1


def leads() -> bool:
    """Whether this is the one process that shows progress and writes files.

    >>> leads()
    True
    """
    return processes()[0] == 0


def my_share(stays: Sequences) -> Sequences:
    """The stays of a batch that are this process's to learn from: every n-th; all of them where there is one process.

    Chance that concerns single measurements is to be drawn before, for the whole batch, alike in all processes.
    """
    rank, count = processes()
    return stays[rank::count] if count > 1 else stays


def weighted(loss: Tensor, mine: float, all_of_them: float) -> Tensor:
    """The part of the mean loss over a whole batch that the mean loss over so many of its stays (or points) makes up.

    >>> weighted(torch.tensor(2.0), 1, 4).item()
    0.5
    """
    return loss * (mine / all_of_them)


def backward(network: nn.Module, loss: Tensor, points: float) -> float:
    """The gradients of the mean loss over a whole batch, and that loss; the same in all processes.

    loss    mean over this process's share; without a gradient where the share is empty
    points  what it is a mean over
    """
    if processes()[1] == 1:
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.item())
    everybody = summed(points)
    mine = weighted(loss, points, everybody) if everybody else loss
    if mine.requires_grad:
        mine.backward()  # type: ignore[no-untyped-call]
    add_up(network)
    return summed(float(mine.item()))


def summed(number: float) -> float:
    """The sum of a number over the processes."""
    if processes()[1] == 1:
        return number
    total = torch.tensor([number], dtype=torch.float64)
    group.all_reduce(total)
    return float(total)


def agreed(number: float) -> float:
    """The first process's number, so that all decide alike."""
    if processes()[1] == 1:
        return number
    told = torch.tensor([number], dtype=torch.float64)
    group.broadcast(told, src=0)
    return float(told)


def add_up(network: nn.Module) -> None:
    """Replace each gradient by its sum over the processes; one that a process does not have counts as 0."""
    if processes()[1] == 1:
        return
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    flat = torch.cat([p.grad.flatten() if p.grad is not None else torch.zeros_like(p).flatten() for p in learned])
    group.all_reduce(flat)
    for parameter, gradient in zip(learned, flat.split([p.numel() for p in learned]), strict=True):
        parameter.grad = gradient.view_as(parameter).clone()
