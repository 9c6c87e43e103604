"""Data-parallel training: each process takes a shard of every batch, and gradients are summed over processes.

`torchrun --nproc-per-node 2 -m clinicalgru train ...` does so, as does a program that calls
`torch.distributed.init_process_group` and then `fit` under torchrun. All processes have the same stays and arguments,
and end with the weights that one process would have with whole batches. With one process nothing changes. Only the main
process shows progress and writes files.

Results differ slightly from training in one process where each process draws its own random numbers: with dropout, and
with sampled time steps. So do those with auxiliary outcomes or forecasts, as their losses are means over the known
labels of each process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn

from clinicalgru.data.sequences.sequences import Sequences


def rank_and_world_size() -> tuple[int, int]:
    """The number of this process and the number of processes.

    Returns
    -------
    rank : int
        Number of this process, from 0.
    world_size : int
        Number of processes; 1 without `torch.distributed`.

    Examples
    --------
    >>> from clinicalgru.model.training.distributed import rank_and_world_size
    >>> rank_and_world_size()
    (0, 1)
    """
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


@contextmanager
def torchrun_processes() -> Iterator[int]:
    """Join the processes that torchrun started, for the time of a block; alone, nothing changes.

    Yields
    ------
    int
        Number of this process, from 0; 0 without torchrun.
    """
    rank, world_size = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if world_size == 1 or distributed.is_initialized():
        yield rank_and_world_size()[0]
        return
    distributed.init_process_group("gloo")
    try:
        yield rank
    finally:
        distributed.destroy_process_group()


def is_main_process() -> bool:
    """Whether this is the process that shows progress and writes files.

    Returns
    -------
    bool

    Examples
    --------
    >>> from clinicalgru.model.training.distributed import is_main_process
    >>> is_main_process()
    True
    """
    return rank_and_world_size()[0] == 0


def rank_shard(stays: Sequences) -> Sequences:
    """The stays of a batch that this process is trained on: every n-th, or all where there is one process.

    Parameters
    ----------
    stays : Sequences
        A batch, the same in all processes. Measurement dropout has to be drawn before.

    Returns
    -------
    Sequences
    """
    rank, world_size = rank_and_world_size()
    return stays[rank::world_size] if world_size > 1 else stays


def shard_loss(loss: Tensor, denominator: float, total: float) -> Tensor:
    """The contribution of a shard to the mean loss of the whole batch.

    Parameters
    ----------
    loss : Tensor, shape ()
        Mean loss of the shard.
    denominator : float
        What that loss is a mean over: `Head.loss_denominator`.
    total : float
        Sum of the denominators of all shards.

    Returns
    -------
    Tensor, shape ()

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.training.distributed import shard_loss
    >>> shard_loss(torch.tensor(2.0), 1, 4).item()
    0.5
    """
    return loss * (denominator / total)


def backward(network: nn.Module, loss: Tensor, denominator: float) -> float:
    """Compute the gradients of the mean loss of the whole batch, the same in all processes.

    Parameters
    ----------
    network : nn.Module
        The network.
    loss : Tensor, shape ()
        Mean loss of the shard of this process; without a gradient where the shard is empty.
    denominator : float
        What that loss is a mean over: `Head.loss_denominator`.

    Returns
    -------
    float
        The mean loss of the whole batch.
    """
    if rank_and_world_size()[1] == 1:
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.item())
    total = _all_reduce_sum(denominator)
    contribution = shard_loss(loss, denominator, total) if total else loss
    if contribution.requires_grad:
        contribution.backward()  # type: ignore[no-untyped-call]
    _all_reduce_gradients(network)
    return _all_reduce_sum(float(contribution.item()))


def _all_reduce_sum(number: float) -> float:
    """The sum of a number over all processes."""
    if rank_and_world_size()[1] == 1:
        return number
    total = torch.tensor([number], dtype=torch.float64)
    distributed.all_reduce(total)
    return float(total)


def broadcast(number: float) -> float:
    """The number of the main process, so that all processes decide alike.

    Parameters
    ----------
    number : float
        The number of this process; only that of the main process counts.

    Returns
    -------
    float
        The same in all processes.
    """
    if rank_and_world_size()[1] == 1:
        return number
    shared = torch.tensor([number], dtype=torch.float64)
    distributed.broadcast(shared, src=0)
    return float(shared)


def _all_reduce_gradients(network: nn.Module) -> None:
    """Replace each gradient by its sum over all processes."""
    if rank_and_world_size()[1] == 1:
        return
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    flat = torch.cat([p.grad.flatten() if p.grad is not None else torch.zeros_like(p).flatten() for p in parameters])
    distributed.all_reduce(flat)
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter).clone()
