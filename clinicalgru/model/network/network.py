"""The network: a time-aware GRU with decay, attention, static covariates, and a readout of summaries."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.data.sequences.sequences import Sequences
from clinicalgru.model.network.attention import AttentionWeights, attention, attention_weights
from clinicalgru.model.network.batch import Batch
from clinicalgru.model.network.codes import known_codes
from clinicalgru.model.network.collate import NO_PREFIXES, Prefixes, StepSampling, collate
from clinicalgru.model.network.config import NetworkSpec
from clinicalgru.model.network.embeddings import CodeEmbedding, NumberEmbedding, PerVariableLinear
from clinicalgru.model.network.encoder import Encoder
from clinicalgru.model.network.generator import Dropout, linear, use_generator
from clinicalgru.model.network.readout import BatchEnsembleMLP, ReadoutsApart, members_see
from clinicalgru.model.network.scaling import Inputs, InputScaler

N_CLOCK = 2  # inputs of `clock`


class ClinicalGRU(nn.Module):
    """Network of all GRU estimators: encoder, attention, embedded summaries, and an implicit ensemble as readout.

    The readout of a prediction sees the context from attention and the state of the encoder at that time, the static
    covariates, the embedded summaries of each variable, and the coded events. Nothing after a prediction time can
    change the prediction, unless the encoder is bidirectional.

    Parameters
    ----------
    spec : NetworkSpec
        Sizes and options of the network.

    Notes
    -----
    Deviation from the papers: no statistic of a batch is used, so that a prediction does not depend on other stays.

    References
    ----------
    Cho et al. 2014. Che et al. 2018. Gorishniy et al. 2022, embeddings of numbers; 2024, TabM.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.scaler = InputScaler(
            spec.variables,
            spec.static_variables,
            indices=spec.clinical_indices,
            rolling_hours=spec.rolling_hours,
        )
        self.encoder = Encoder(spec)
        self.attention = attention(spec.attention, spec.width)
        self.embedding = NumberEmbedding(spec.features)
        self.codes = CodeEmbedding(len(spec.code_vocabulary)) if spec.code_vocabulary else None
        sequence, embedded = self.attention.width + spec.width, spec.features * self.embedding.line.shape[1]
        width = sequence + self.scaler.static_width + embedded
        width += self.codes.width if self.codes is not None else 0
        width += N_CLOCK if spec.window_hours else 0
        sees_sequence, self.sees_summaries = members_see(spec)
        start = sequence + self.scaler.static_width
        sizes = {"hidden": spec.readout_size, "members": spec.ensemble_size, "outputs": spec.outputs}
        visible: Tensor | None = None
        self.readout: BatchEnsembleMLP | ReadoutsApart
        if spec.readout_inputs == "apart":
            columns = range(sequence), range(start, start + embedded)
            self.readout = ReadoutsApart(width, columns[0], columns[1], dropout=spec.dropout, **sizes)
        else:
            self.readout = BatchEnsembleMLP(width, dropout=spec.dropout, **sizes)
            visible = torch.ones(spec.ensemble_size, 1, width, dtype=torch.float32)
            visible[~sees_sequence, :, :sequence] = 0
            visible[~self.sees_summaries, :, start : start + embedded] = 0
        masked = spec.readout_inputs in ("separate", "sequence", "summaries")
        self.register_buffer("visible", visible if masked else None, persistent=False)
        self.by_variable = PerVariableLinear(spec.variables, self.embedding.line.shape[1]) if spec.by_variable else None
        self.state_dropout = Dropout(spec.dropout)
        self.forecast = linear(spec.width, spec.forecasts) if spec.forecasts else None

    def make_batch(
        self,
        stays: Sequences,
        *,
        per_step: bool = False,
        sample: StepSampling | None = None,
        prefixes: Prefixes = NO_PREFIXES,
    ) -> Batch:
        """Make a batch of stays, with the coded events of the vocabulary only.

        Parameters
        ----------
        stays : Sequences
            The stays.
        per_step : bool
            Whether a prediction is made after each time step with measurements; else at the end of each stay.
        sample : StepSampling or None
            A random sample of the predictions; None: all of them.
        prefixes : Prefixes
            Further predictions, earlier than the ends of their stays; for a network that `is_causal`.

        Returns
        -------
        Batch
        """
        spec = self.spec
        return collate(
            known_codes(stays, spec.code_vocabulary),
            per_step=per_step,
            codes=bool(spec.code_vocabulary),
            indices=spec.clinical_indices,
            rolling_hours=spec.rolling_hours,
            sample=sample,
            prefixes=prefixes,
        )

    def readout_parts(self) -> dict[str, slice]:
        """The members of each part of the readout that shares no weights with the others.

        Returns
        -------
        dict of str to slice
            By the name of the part; empty if all members share layers.
        """
        if self.spec.readout_inputs != "apart":
            return {}
        half = self.spec.ensemble_size - self.spec.ensemble_size // 2
        return {"sequence": slice(0, half), "summaries": slice(half, None)}

    @staticmethod
    def part_of_weight(name: str) -> str:
        """The part of the readout whose loss decides when a weight is best, where parts share no weights.

        Parameters
        ----------
        name : str
            Name of the weight.

        Returns
        -------
        str
            "summaries" for the embeddings of summaries and their readout, else "sequence".
        """
        return "summaries" if name.startswith(("readout.summaries.", "embedding.", "by_variable.")) else "sequence"

    @property
    def is_causal(self) -> bool:
        """Whether the states of a prefix are those of its stay: not read backwards, nor in strides from its end."""
        return not (self.spec.bidirectional or self.spec.convolution)

    def without_auxiliary(self, outputs: int) -> ClinicalGRU:
        """A copy with the first outputs only, and without the forecast: the network as it predicts.

        Parameters
        ----------
        outputs : int
            Number of outputs to keep.

        Returns
        -------
        ClinicalGRU
        """
        with use_generator(torch.Generator()):  # random weights, replaced below
            network = ClinicalGRU(replace(self.spec, outputs=outputs, forecasts=0))
        weights = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("forecast.")}
        last = [f"readout.{prefix}{name}" for prefix, *_ in self.readout.parts() for name in ("last", "bias")]
        weights |= {name: weights[name][..., :outputs] for name in last}
        network.load_state_dict(weights)
        return network

    @property
    def device(self) -> torch.device:
        """Where it computes; scaling, inputs and outputs are on the CPU."""
        return self.embedding.line.device

    def forward(self, batch: Batch) -> Tensor:
        """Outputs of all members for a batch.

        Parameters
        ----------
        batch : Batch
            The batch.

        Returns
        -------
        Tensor, shape (member, point, output)
        """
        return self.logits(self.scaler(batch), batch)[0]

    def logits(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, AttentionWeights]:
        """Outputs and attention weights.

        Parameters
        ----------
        inputs : Inputs
            The batch in normal scores.
        batch : Batch
            The batch.

        Returns
        -------
        logits : Tensor, shape (member, point, output)
        attention : AttentionWeights
        """
        inputs, batch = inputs.to(self.device), batch.to(self.device)
        states, steps = self.encoder(inputs, batch)
        logits, weights = self._readout(states, steps, inputs, batch)
        return logits.cpu(), AttentionWeights(*(tensor.cpu() for tensor in weights))

    def forward_with_forecast(self, inputs: Inputs, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Outputs, and the auxiliary forecast after each time step.

        Parameters
        ----------
        inputs : Inputs
            The batch in normal scores.
        batch : Batch
            The batch.

        Returns
        -------
        logits : Tensor, shape (member, point, output)
        forecast : Tensor, shape (row, 2 x variable), or None
            None if the network has no forecast.
        """
        inputs, batch = inputs.to(self.device), batch.to(self.device)
        states, steps = self.encoder(inputs, batch)
        forecast = self.forecast(states).cpu() if self.forecast is not None else None
        return self._readout(states, steps, inputs, batch)[0].cpu(), forecast

    def _readout(self, states: Tensor, steps: Batch, inputs: Inputs, batch: Batch) -> tuple[Tensor, AttentionWeights]:
        """Outputs and attention weights, from the states of the encoder and the batch of their rows."""
        context, weight = self.attention(states, steps)
        codes = [self.codes.cumulative(batch)] if self.codes is not None else []
        logits = self.logits_at(context, self.encoder.states_at(states, steps), inputs, batch.point_hours, *codes)
        return logits, attention_weights(weight, steps)

    def logits_at(self, context: Tensor, state: Tensor, inputs: Inputs, hours: Tensor, *codes: Tensor) -> Tensor:
        """Outputs of predictions, from the context and the state of the encoder at each.

        Parameters
        ----------
        context, state : Tensor, shape (point, width)
            From the attention and the encoder.
        inputs : Inputs
            Of which the summaries and static covariates are used.
        hours : Tensor, shape (point,)
            Hours since the index time.
        *codes : Tensor, shape (point, size)
            Embedding of the coded events so far, of a network that uses them.

        Returns
        -------
        Tensor, shape (member, point, output)
        """
        sequence = self.state_dropout(torch.cat([context, state], dim=1))
        embedded = self.embedding(inputs.summaries, inputs.summary_mask)
        parts = [sequence, inputs.static, embedded, *codes]
        if self.spec.window_hours:
            parts.append(clock(hours, self.spec.window_hours).to(sequence.dtype))
        logits = self.readout(torch.cat(parts, dim=1), self.visible)
        if self.by_variable is not None:
            shortcut = self.by_variable(embedded) * self.sees_summaries.to(embedded)[:, None, None]
            logits = logits + nn.functional.pad(shortcut, (0, logits.shape[2] - shortcut.shape[-1]))
        return logits


def clock(hours: Tensor, window_hours: tuple[float, ...]) -> Tensor:
    """The hour of each prediction as inputs: its place in the window, and on a logarithmic scale.

    Parameters
    ----------
    hours : Tensor, shape (point,)
        Hours since the index time.
    window_hours : tuple of float
        First and last hour of the window.

    Returns
    -------
    Tensor, shape (point, 2)
        0 at the end of the window, and below 0 before it; hours outside the window count as its ends.
    """
    first, last = window_hours
    passed = (hours - first).clamp(0, last - first)
    return torch.stack([passed / (last - first) - 1, torch.log1p(passed) - math.log1p(last - first)], dim=1)


def n_categories(static_variables: tuple[Variable, ...]) -> tuple[int, ...]:
    """Number of categories of each static covariate.

    Parameters
    ----------
    static_variables : tuple of Variable
        The static covariates.

    Returns
    -------
    tuple of int
        0 for a covariate that is a number.
    """
    return tuple(len(variable.categories) for variable in static_variables)
