"""AdamW on torch's fused kernel, without `torch.optim.Optimizer`, whose first use loads torch's compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

BETAS, EPSILON = (0.9, 0.999), 1e-8  # as of torch.optim.AdamW
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class AdamW:
    """AdamW with parameter groups: the same bits as `torch.optim.AdamW(..., fused=True)`.

    Parameters
    ----------
    groups : sequence of dict
        `params` of each group, with its `weight_decay`, and whatever else the caller keeps there.
    lr : float
        Learning rate of the groups that have none.

    Attributes
    ----------
    param_groups : list of dict
        The groups, with `lr` and `weight_decay` as they are now.

    Notes
    -----
    The first `torch.optim.Optimizer` of a process loads `torch._dynamo`, which takes more than a second: longer than
    training a small network.

    References
    ----------
    Loshchilov and Hutter 2019.

    Examples
    --------
    >>> import torch
    >>> from clinicalgru.model.training.adamw import AdamW
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.grad = torch.ones(2)
    >>> AdamW([{"params": [weight], "weight_decay": 0.0}], lr=0.1).step()
    >>> [round(number, 4) for number in weight.tolist()]
    [0.9, 0.9]
    """

    def __init__(self, groups: Sequence[Mapping[str, Any]], *, lr: float) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": lr, **group} for group in groups]
        self._moments: dict[int, dict[str, Tensor]] = {}  # by the position of the parameter

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def zero_grad(self) -> None:
        """Remove the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update each parameter that has a gradient."""
        number = 0
        for group in self.param_groups:
            numbered = list(enumerate(group["params"], start=number))
            number += len(numbered)
            moving = [(position, one) for position, one in numbered if one.grad is not None]
            moments = [self._moments_of(position, one) for position, one in moving]
            adamw(
                [one for _, one in moving],
                [one.grad for _, one in moving if one.grad is not None],
                exp_avgs=[one["exp_avg"] for one in moments],
                exp_avg_sqs=[one["exp_avg_sq"] for one in moments],
                max_exp_avg_sqs=[],
                state_steps=[one["step"] for one in moments],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=EPSILON,
                maximize=False,
            )

    def _moments_of(self, position: int, parameter: Tensor) -> dict[str, Tensor]:
        if position not in self._moments:
            first, second = torch.zeros_like(parameter), torch.zeros_like(parameter)
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
            self._moments[position] = dict(zip(MOMENTS, (step, first, second), strict=True))
        return self._moments[position]

    def state_dict(self) -> dict[str, Any]:
        """Give the moments.

        Returns
        -------
        dict
            Under "state", of each parameter by its position: step, exp_avg and exp_avg_sq.
        """
        return {"state": self._moments}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the moments that `state_dict` gave.

        Parameters
        ----------
        state : mapping
            As of `state_dict`; its tensors may be on another device.
        """
        devices = [parameter.device for parameter in self._parameters]
        self._moments = {
            number: {name: moments[name].detach().clone().to(devices[number]) for name in MOMENTS}
            for number, moments in state["state"].items()
        }
