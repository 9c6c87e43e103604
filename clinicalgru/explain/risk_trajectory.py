"""Risk of one stay after each time step, from what was known up to then, and how far the heads disagree."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.evaluate.hour_checks import HourCheck
from clinicalgru.explain.prepared import prepare_stay
from clinicalgru.explain.targets import Explainable, MemberNetwork, pool_networks, to_risk
from clinicalgru.model.heads.explanation_target import ExplanationTarget, Target
from clinicalgru.model.network.attention import AttentionWeights
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.network import ClinicalGRU

LOW, HIGH = 5, 95  # percentiles of the heads' risks
UNTRAINED = (
    "This model was trained for the end of the window only. Its earlier predictions, in grey, were neither trained nor "
    "evaluated: do not rely on them."
)
NOT_EVALUATED = (
    "Whether the risks before the end of the window, in grey, are calibrated was not evaluated. Calibrate the model on "
    "stays with at least 20 events."
)
FAILED = "At {hours} the risk, in grey, is not calibrated: {evidence} on the stays that calibrated the model."
UNCLEAR = (
    "Whether the risk is calibrated at {hours}, dashed, is unclear: the stays that calibrated the model have too few "
    "events to say."
)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Explanation terms of one stay after each time step and at its end, by one network.

    Attributes
    ----------
    hours : ndarray, shape (step + 1,)
        Hours of the time steps with measurements, and of the prediction.
    terms : ndarray, shape (step + 1, ...)
        What the network contributes to the explained number; see `pool_networks`.
    head_numbers : ndarray, shape (head, step + 1)
        The number by each head alone, in the unit of the target.
    attention : DataFrame
        hours, weight: attention of the end to each time step.
    """

    hours: np.ndarray
    terms: np.ndarray
    head_numbers: np.ndarray
    attention: pd.DataFrame


def risk_trajectory(model: Explainable, stay: Sequences, *, target: Target = None) -> pd.DataFrame:
    """Compute the risk of one stay after each time step, from what was known up to then.

    Parameters
    ----------
    model : GRU estimator or GRUEnsemble
        Fitted.
    stay : Sequences
        One stay with a measurement.
    target : str, float or None
        See `clinicalgru.explain`.

    Returns
    -------
    DataFrame
        hours and risk, the last row at the prediction time. With several heads also low and high: the 5th and 95th
        percentile of their risks. Of a risk at the end of a window also calibrated: "yes", "no", "unclear" or "not
        evaluated", by the stays that calibrated the model; see `trajectory_verdicts`.

    Raises
    ------
    ArgumentError
        If it is not one stay with a measurement, or the model cannot be explained.

    Examples
    --------
    >>> import clinicalgru as cg
    >>> from clinicalgru.explain.risk_trajectory import risk_trajectory
    >>> events = cg.read_events(cg.simulate(60, random_state=0))
    >>> stays = cg.select(events, cg.Task.load("in_hospital_mortality"))
    >>> network = cg.NetworkConfig(hidden_size=4, readout_size=4)
    >>> model = cg.GRUClassifier(network, max_epochs=1, distillation=0).fit(stays, verbose=False)
    >>> risk_trajectory(model, stays[[0]]).columns.tolist()
    ['hours', 'risk', 'low', 'high', 'calibrated']
    """
    prepared = prepare_stay(model, stay, caller="risk_trajectory", target=target)
    with prepared.computing():
        trajectories = [trajectory_of(member, own) for member, own in prepared.by_network()]
    return trajectory_verdicts(combine_trajectories(trajectories, prepared.target), prepared.networks)[0]


@torch.no_grad()
def trajectory_of(
    member: MemberNetwork, stay: Sequences, *, batch: Batch | None = None, end_logits: Tensor | None = None
) -> Trajectory:
    """Compute the trajectory of one stay by one network.

    A causal network gives it in one pass; a bidirectional or strided one is run on each prefix of the stay.

    Parameters
    ----------
    member : MemberNetwork
        The network.
    stay : Sequences
        One stay, with the coded events that the network knows.
    batch : Batch, optional
        The stay with a prediction after each time step, if it was made already.
    end_logits : Tensor of shape (head, 1, output), optional
        Logits at the end of the stay, if they are known already.

    Returns
    -------
    Trajectory
    """
    network = member.network
    step_logits, attended = _step_logits(network, stay, batch)
    end_logits = _end_logits(network, stay)[0] if end_logits is None else end_logits
    logits = torch.cat([step_logits, end_logits], dim=1)
    hours = np.append(np.unique(stay.hours), stay.end_hours[0])
    at = torch.from_numpy(hours)
    terms, head_numbers = member.terms(logits, at).numpy(), member.head_numbers(logits, at).numpy()
    return Trajectory(hours, terms, head_numbers, _attention_table(network, stay, attended))


def combine_trajectories(trajectories: Sequence[Trajectory], target: ExplanationTarget) -> pd.DataFrame:
    """Combine the trajectories of all networks of a model into its risk.

    Parameters
    ----------
    trajectories : sequence of Trajectory
        One per network.
    target : ExplanationTarget
        What is explained.

    Returns
    -------
    DataFrame
        hours, risk and, with several heads, low and high.
    """
    risk = to_risk(target, pool_networks(target, [trajectory.terms for trajectory in trajectories]))
    table = pd.DataFrame({"hours": trajectories[0].hours, "risk": risk})
    head_numbers = np.concatenate([trajectory.head_numbers for trajectory in trajectories])
    if len(head_numbers) > 1:
        low, high = np.percentile(to_risk(target, head_numbers), [LOW, HIGH], axis=0)
        table = table.assign(low=low, high=high)
    return table.drop_duplicates("hours", keep="last", ignore_index=True)  # the end may be an hour of measurements


def trajectory_verdicts(trajectory: pd.DataFrame, networks: Sequence[MemberNetwork]) -> tuple[pd.DataFrame, str]:
    """Add whether the risk at each hour was found calibrated, and explain where it was not.

    Parameters
    ----------
    trajectory : DataFrame
        hours, risk.
    networks : sequence of MemberNetwork
        The networks of a model.

    Returns
    -------
    trajectory : DataFrame
        With calibrated: "yes", "no", "unclear" or "not evaluated". Without it for a model that predicts after each
        time step, which is calibrated on all of them.
    note : str
        Empty where nothing is to be noted.
    """
    if networks[0].head.per_step:
        return trajectory, ""
    calibrator = networks[0].target.by_hour
    trained = all(member.network.spec.window_hours for member in networks)
    if calibrator is None or not trained or not calibrator.checks:
        return trajectory.assign(calibrated="not evaluated"), NOT_EVALUATED if trained else UNTRAINED
    verdicts = calibrator.verdicts(trajectory["hours"])
    shown = trajectory.assign(calibrated=verdicts)
    failed = [check for check in calibrator.checks if check.verdict == "no"]
    unclear = [check for check in calibrator.checks if check.verdict == "unclear"]
    sentences = [
        FAILED.format(hours=_hours([check]), evidence=_evidence(check)) for check in failed if "no" in verdicts
    ]
    sentences += [UNCLEAR.format(hours=_hours(unclear))] if "unclear" in verdicts else []
    return shown, " ".join(sentences)


def _hours(checks: Sequence[HourCheck]) -> str:
    """The hours of some checks in words, such as "hours 1 to 4 and 48"; parts that touch are joined."""
    parts = list[list[float]]()
    for check in checks:
        ends = [round(check.first_hour, 1), round(check.last_hour, 1)]
        if parts and ends[0] - parts[-1][1] <= 1:
            parts[-1][1] = ends[1]
        else:
            parts.append(ends)
    texts = [f"{low:g} to {high:g}" if low < high else f"{low:g}" for low, high in parts]
    return f"hour{'s' if len(texts) > 1 or ' ' in texts[0] else ''} {' and '.join(texts)}"


def _evidence(check: HourCheck) -> str:
    """The figures of a check in words."""
    expected = (check.observed_expected, check.observed_expected_low, check.observed_expected_high)
    slope = (check.calibration_slope, check.calibration_slope_low, check.calibration_slope_high)
    return "observed : expected {:.2f} ({:.2f} to {:.2f}), slope {:.2f} ({:.2f} to {:.2f})".format(*expected, *slope)


def count_heads(trajectories: Sequence[Trajectory]) -> int:
    """Count the heads of all networks.

    Parameters
    ----------
    trajectories : sequence of Trajectory
        One per network.

    Returns
    -------
    int
    """
    return sum(len(trajectory.head_numbers) for trajectory in trajectories)


def mean_attention(trajectories: Sequence[Trajectory]) -> pd.DataFrame:
    """Average the attention of the end over the networks.

    Parameters
    ----------
    trajectories : sequence of Trajectory
        One per network.

    Returns
    -------
    DataFrame
        hours, weight.
    """
    if len(trajectories) == 1:
        return trajectories[0].attention
    tables = pd.concat([trajectory.attention for trajectory in trajectories])
    summed = tables.groupby("hours", as_index=False).sum()
    return summed.assign(weight=summed["weight"] / len(trajectories))


@torch.no_grad()
def half_lives(networks: Collection[ClinicalGRU], names: Collection[str]) -> dict[str, float]:
    """Compute the hours after which a network carries a value forward with half its strength.

    Parameters
    ----------
    networks : collection of ClinicalGRU
        Of several, the median counts.
    names : collection of str
        Names of the variables.

    Returns
    -------
    dict of str to float
        Hours by variable; 0 where a value is decayed to half at once.

    Notes
    -----
    The decay over d hours is exp(-max(0, w d + b)). It is one half where w d + b = ln 2.

    References
    ----------
    Che et al. 2018, Eq. 3.
    """
    decays = [network.encoder.steps.value_decay for network in networks]
    hours = [
        ((math.log(2) - decay.bias) / F.softplus(decay.raw)).clamp_min(0).cpu().double().numpy() for decay in decays
    ]
    return dict(zip(names, np.median(hours, axis=0).tolist(), strict=True))


def _step_logits(network: ClinicalGRU, stay: Sequences, batch: Batch | None) -> tuple[Tensor, AttentionWeights]:
    """Logits (head, step, output) after each time step with measurements, and the attention of the last."""
    if network.spec.is_causal:
        batch = network.make_batch(stay, per_step=True) if batch is None else batch
        return network.logits(network.scaler(batch), batch)
    batch = network.make_batch(stay.prefixes(np.unique(stay.hours)))
    logits = network.logits(network.scaler(batch), batch)[0]
    return logits[:, torch.from_numpy(np.argsort(batch.order))], _end_logits(network, stay)[1]


def _end_logits(network: ClinicalGRU, stay: Sequences) -> tuple[Tensor, AttentionWeights]:
    """Logits (head, 1, output) at the end of the stay, and its attention."""
    batch = network.make_batch(stay)
    return network.logits(network.scaler(batch), batch)


def _attention_table(network: ClinicalGRU, stay: Sequences, attended: AttentionWeights) -> pd.DataFrame:
    weight = attended.weight[0, -1].numpy()
    hours = np.unique(np.concatenate([stay.hours, stay.code_hours] if network.spec.code_vocabulary else [stay.hours]))
    exact = len(hours) == len(weight)  # strides leave fewer
    return pd.DataFrame({"hours": hours if exact else attended.hours[0].numpy(), "weight": weight})
