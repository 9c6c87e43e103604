"""Run under torchrun by test_distributed: three training steps, then the weights into the file that is named."""

from __future__ import annotations

import sys

import torch
from safetensors.torch import save_file
from torch import distributed

import clinicalgru as cg
from clinicalgru.model.distributed import add_up, my_share, processes, weighted
from clinicalgru.model.heads import Binary
from clinicalgru.model.network import ClinicalGRU, static_levels
from clinicalgru.model.shape import Shape


def learned(steps: int = 3, size: int = 25) -> ClinicalGRU:
    """A network after a few steps on the simulated ward; the last batch has one stay."""
    ward = cg.simulate(80, seed=2)
    stays = cg.select(cg.read_events(ward), cg.Task.load("in_hospital_mortality"))[: 2 * size + 1]
    torch.manual_seed(0)
    shape = Shape(
        len(stays.variables), static_levels(stays.statics), hidden_size=8, readout_size=8, members=2, dropout=0
    )
    network = ClinicalGRU(shape)
    network.scales.learn(stays)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(steps):
        batch_of = stays[step * size : (step + 1) * size]
        mine = my_share(batch_of)
        optimizer.zero_grad()
        if len(mine):
            batch = network.batch(mine)
            loss = Binary().loss(network(batch), Binary().target(mine, batch))
            weighted(loss, len(mine), len(batch_of)).backward()
        add_up(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network


if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    network = learned()
    save_file(network.state_dict(), f"{sys.argv[1]}-{processes()[0]}")
    distributed.destroy_process_group()
