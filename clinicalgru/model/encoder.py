"""The encoder: from the steps of each stay to states of a recurrence that knows real time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clinicalgru.model.batch import Batch
from clinicalgru.model.inputs import Inputs
from clinicalgru.model.layers import Decay
from clinicalgru.model.recurrence import gru_scan


class Encoder(nn.Module):
    """State after each step: a GRU whose inputs and state fade over the real gaps.

    Each step of a stay takes the gap-decayed last values x = s (m + (1 - m) g_x), where s is the score last seen, m
    whether it is new, g_x = exp(-max(0, w d + b)) its decay over the d hours since, towards the training median (score
    0); and m itself. The state decays by g_h = exp(-max(0, W d + b)) before each GRU step.

    Source: Cho et al. 2014; Che et al. 2018, Eqs. 3-6. DIFF: scores are ranks among the training values; decay weights
    are non-negative.
    """

    def __init__(self, variables: int, hidden: int) -> None:
        super().__init__()
        self.value_decay = Decay(variables, variables, diagonal=True)
        self.state_decay = Decay(variables, hidden)
        self.project = nn.Linear(2 * variables, 3 * hidden)
        self.recurrent = nn.Linear(hidden, 3 * hidden)
        nn.init.orthogonal_(self.recurrent.weight)

    def forward(self, inputs: Inputs, batch: Batch) -> Tensor:
        """(row, hidden) state after each step."""
        score = torch.cat([inputs.score, inputs.score.new_zeros(1)])[batch.carried]
        kept = inputs.observed + (1 - inputs.observed) * self.value_decay(inputs.gap_hours)
        drive = self.project(torch.cat([score * kept, inputs.observed], dim=1))
        decay = self.state_decay(inputs.gap_hours)
        return gru_scan(drive, decay, self.recurrent.weight, self.recurrent.bias, batch.sizes)
