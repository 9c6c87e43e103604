"""Head for self-supervised training: what is measured at the next time step of a stay, when, and how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.model.heads.forecast import MAX_LOG_SCALE, MIN_LOG_SCALE, Forecast, next_rows
from clinicalgru.model.network.batch import Batch


@dataclass(frozen=True, eq=False)
class NextStep(Forecast):
    """The next time step of a stay: which variables are measured, their values, and the hours until then.

    The loss is the sum of three means: the negative log likelihood of the values (Laplace, as in `Forecast`), the log
    loss of whether each variable is measured, and the negative log likelihood of log(1 + hours) (Laplace).

    Parameters
    ----------
    scaler, variable_weights, interval_scale
        See `Forecast`.

    Notes
    -----
    For each variable the network gives the two numbers of `Forecast` and the log-odds that it is measured, then median
    and logarithm of the scale of log(1 + hours). At the last time step of a stay nothing is known of the next one.

    References
    ----------
    McDermott et al. 2023, Event Stream GPT (which events come next, when, and their values).
    """

    @property
    def n_outputs(self) -> int:
        """Three numbers for each variable, and two for the time."""
        return 3 * len(self.scaler.knots) + 2

    def row_labels(self, batch: Batch) -> Tensor:
        """The labels of `Forecast`, whether each variable is measured next, and the time of the next step.

        Parameters
        ----------
        batch : Batch
            Stays.

        Returns
        -------
        Tensor, shape (row, 4, variable)
            Next score, last score, 1 or 0 for measured or not, and log(1 + hours), the same for each variable. NaN
            where there is no next time step; the next score also where nothing is measured.
        """
        rows, exists = next_rows(batch)
        measured = torch.where(exists[:, None], batch.mask[rows], torch.nan)
        hours = torch.where(exists, torch.log1p(batch.hours[rows] - batch.hours), torch.nan)
        further = torch.stack([measured, hours[:, None].expand_as(measured)], dim=1)
        return torch.cat([super().row_labels(batch), further], dim=1)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The sum of the losses of values, of what is measured, and of the time; over members and known labels."""
        values, measured, time = self._split(logits)
        known = ~labels[:, 2].isnan()
        weight = known.float() / (len(logits) * known.sum().clamp_min(1))
        log_loss = F.binary_cross_entropy_with_logits(
            measured, labels[:, 2].nan_to_num().expand_as(measured), reduction="none"
        )
        scale = time[..., 1].clamp(MIN_LOG_SCALE, MAX_LOG_SCALE)
        distance = (labels[:, 3, 0].nan_to_num() - time[..., 0]).abs() * torch.exp(-scale) + scale
        of_time = (distance * known[:, 0]).sum() / (len(logits) * known[:, 0].sum().clamp_min(1))
        return super().loss(values, labels[:, :2]) + (log_loss * weight).sum() + of_time

    def aggregate_members(self, logits: Tensor) -> Tensor:
        """Values as in `Forecast`; the means of the members' numbers for the rest."""
        values, measured, time = self._split(logits.double())
        rest = torch.cat([measured, time], dim=2).mean(dim=0, keepdim=True)
        return torch.cat([super().aggregate_members(values), rest], dim=2)

    def _split(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs for the values, for what is measured, and for the time."""
        n = len(self.scaler.knots)
        values, measured, time = logits.split([2 * n, n, 2], dim=-1)
        return values, measured, time
