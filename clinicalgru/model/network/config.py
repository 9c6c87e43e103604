"""The options of a network: those a user sets (`NetworkConfig`), and all that decide its size (`NetworkSpec`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Self

from sklearn.base import BaseEstimator

from clinicalgru.checks import check_choice, check_number, to_python
from clinicalgru.errors import ArgumentError, describe
from clinicalgru.model.features.clinical_indices import SUMMARIES
from clinicalgru.model.features.rolling import ROLLING, check_rolling_hours

CHOICES: dict[str, tuple[str | None, ...]] = {
    "cell": ("gru", "lstm", "rnn"),
    "reset": ("after", "before"),
    "gate": (None, "time"),
    "attention": ("additive", "multihead", None),
    "encoder": ("values", "per_variable"),
    "readout_inputs": ("joint", "apart", "separate", "sequence", "summaries"),
}
COUNTS = ("hidden_size", "readout_size", "ensemble_size", "n_layers")
PROBABILITIES = ("dropout", "recurrent_dropout", "pattern_dropout")
FLAGS = ("bidirectional", "layer_norm")
N_ATTENTION_HEADS = 4  # of multi-head attention


class NetworkConfig(BaseEstimator):
    """Architecture of the network of a GRU estimator: sizes, recurrent cell, attention, dropout.

    Parameters
    ----------
    hidden_size : int, default=64
        Size of the recurrent state.
    readout_size : int, default=128
        Size of the two hidden layers of the readout.
    ensemble_size : int, default=4
        Number of implicit ensemble members that share the readout (Gorishniy et al. 2024); their mean is the
        prediction.
    dropout : float, default=0.2
        Dropout probability in the readout, on the recurrent state that enters it, and between recurrent layers.
    cell : {"gru", "lstm", "rnn"}, default="gru"
        Recurrent cell: GRU (Cho et al. 2014), LSTM (Hochreiter and Schmidhuber 1997) or Elman network.
    reset : {"after", "before"}, default="after"
        Where the reset gate of a GRU is applied: after the recurrent product (PyTorch) or before it (Cho et al. 2014).
    gate : {None, "time"}, default=None
        "time": the update gate of a GRU, or the forget gate of an LSTM, also receives the time gaps.
    feedback_delay_hours : float or None, default=None
        Hours of a delayed feedback of the state, weighted by a gate (Erichson et al. 2022). None: no feedback.
    n_layers : int, default=1
        Number of stacked recurrent layers.
    bidirectional : bool, default=False
        Whether each layer also reads the stay backwards. Not for predictions after each time step.
    layer_norm : bool, default=False
        Whether the states of each layer are normalised (Ba et al. 2016).
    recurrent_dropout : float, default=0.0
        Dropout probability of the recurrent state, with one mask per stay (Gal and Ghahramani 2016).
    convolution : sequence of int, default=()
        Strides of causal convolutions over the time steps before the recurrence, such as (5, 5).
    attention : {"additive", "multihead", None}, default="additive"
        Attention over the states (Bahdanau et al. 2015; Vaswani et al. 2017). None: the last state only.
    encoder : {"values", "per_variable"}, default="values"
        "per_variable": each variable has an embedding of its own before the recurrence (Gorishniy et al. 2022).
    readout_inputs : {"joint", "apart", "separate", "sequence", "summaries"}, default="joint"
        What the members of the readout see in addition to static covariates, coded events and the hour.
        "joint": the sequence (attention and state) and the summaries. "separate": the sequence for one half of the
        members, the summaries for the other. "apart": the same, and the halves share no weights of the readout, and
        each keeps the weights of its own best epoch. "sequence" or "summaries": the one for all, as a comparison.
    clinical_indices : sequence of str or None, default=None
        Clinical indices among the inputs of the readout, such as "pao2 last / fio2 last". None: those of
        data_schemas/indices.yaml whose variables are present. (): none.
    rolling_hours : sequence of float, default=()
        Windows before each prediction, such as (6, 12, 24), whose count, mean, minimum, maximum and slope of each
        variable are further summaries. Not for `Monitor` and `export_onnx`.
    pattern_dropout : float, default=0.0
        Probability, for each variable of a training stay and epoch, that the pattern of its measurements is hidden: its
        masks, time gaps, counts, and hours since. The risk then leans less on who orders what.

    Notes
    -----
    Options that do not go together are refused by `fit`.

    References
    ----------
    Cho et al. 2014, Learning phrase representations using RNN encoder-decoder. Erichson et al. 2022, Gated recurrent
    neural networks with weighted time-delay feedback. Gorishniy et al. 2022, On embeddings for numerical features;
    2024, TabM.

    Examples
    --------
    >>> from clinicalgru import GRUClassifier, NetworkConfig
    >>> model = GRUClassifier(network=NetworkConfig(cell="lstm"))
    >>> model.set_params(network__n_layers=2).network
    NetworkConfig(cell='lstm', n_layers=2)
    """

    def __init__(
        self,
        *,
        hidden_size: int = 64,
        readout_size: int = 128,
        ensemble_size: int = 4,
        dropout: float = 0.2,
        cell: str = "gru",
        reset: str = "after",
        gate: str | None = None,
        feedback_delay_hours: float | None = None,
        n_layers: int = 1,
        bidirectional: bool = False,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        convolution: Sequence[int] = (),
        attention: str | None = "additive",
        encoder: str = "values",
        readout_inputs: str = "joint",
        clinical_indices: Sequence[str] | None = None,
        rolling_hours: Sequence[float] = (),
        pattern_dropout: float = 0.0,
    ) -> None:
        self.hidden_size = hidden_size
        self.readout_size = readout_size
        self.ensemble_size = ensemble_size
        self.dropout = dropout
        self.cell = cell
        self.reset = reset
        self.gate = gate
        self.feedback_delay_hours = feedback_delay_hours
        self.n_layers = n_layers
        self.bidirectional = bidirectional
        self.layer_norm = layer_norm
        self.recurrent_dropout = recurrent_dropout
        self.convolution = convolution
        self.attention = attention
        self.encoder = encoder
        self.readout_inputs = readout_inputs
        self.clinical_indices = clinical_indices
        self.rolling_hours = rolling_hours
        self.pattern_dropout = pattern_dropout

    def to_dict(self) -> dict[str, Any]:
        """Give the options as Python numbers, text and tuples.

        Returns
        -------
        dict
            One entry for each option.

        Examples
        --------
        >>> import numpy as np
        >>> NetworkConfig(hidden_size=np.int64(8)).to_dict()["hidden_size"]
        8
        """
        return {name: to_python(value) for name, value in self.get_params(deep=False).items()}


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that decides the sizes of a network: its options, and what follows from the training stays.

    Attributes
    ----------
    variables : int
        Number of series variables.
    static_variables : tuple of int
        Number of categories of each static covariate; 0 for a number.
    outputs : int
        Number of outputs of the head at each prediction time.
    hidden_size, readout_size, ensemble_size, dropout, cell, reset, gate, feedback_delay_hours, n_layers, \
bidirectional, layer_norm, recurrent_dropout, convolution, attention, encoder, readout_inputs, rolling_hours, \
pattern_dropout
        Options, see `NetworkConfig`.
    code_vocabulary : tuple of str
        Coded events that the network knows.
    clinical_indices : tuple of str
        Clinical indices among the inputs of the readout.
    forecasts : int
        Number of outputs of the auxiliary forecast of the next time step; 0 without it.
    by_variable : bool
        Whether the first outputs are two for each variable, with a shortcut from that variable's own summaries.
    window_hours : tuple of float
        First and last hour of the window, where the hour of a prediction is an input of the readout; else empty.
    """

    variables: int
    static_variables: tuple[int, ...]
    outputs: int = 1
    hidden_size: int = 64
    readout_size: int = 128
    ensemble_size: int = 4
    dropout: float = 0.2
    cell: str = "gru"
    reset: str = "after"
    gate: str | None = None
    feedback_delay_hours: float | None = None
    n_layers: int = 1
    bidirectional: bool = False
    layer_norm: bool = False
    recurrent_dropout: float = 0.0
    convolution: tuple[int, ...] = ()
    attention: str | None = "additive"
    encoder: str = "values"
    readout_inputs: str = "joint"
    rolling_hours: tuple[float, ...] = ()
    pattern_dropout: float = 0.0
    code_vocabulary: tuple[str, ...] = ()
    clinical_indices: tuple[str, ...] = ()
    forecasts: int = 0
    by_variable: bool = False
    window_hours: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the specification as a manifest holds it; `from_dict` reads it back.

        Returns
        -------
        dict
            One entry for each field; tuples as lists.
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Self:
        """Read the specification of a manifest.

        Parameters
        ----------
        written : mapping
            What `to_dict` gave. A missing option has its default.

        Returns
        -------
        NetworkSpec
            The specification.

        Examples
        --------
        >>> spec = NetworkSpec(variables=3, static_variables=(0, 2), convolution=(2,))
        >>> NetworkSpec.from_dict(spec.to_dict()) == spec
        True
        """
        options: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in written.items()}
        return cls(**options)

    @property
    def is_causal(self) -> bool:
        """Whether the state after each time step equals that of a stay which ended there."""
        return not self.bidirectional and prod(self.convolution) == 1

    @property
    def features(self) -> int:
        """Number of summaries of all variables, clinical indices and rolling statistics."""
        return self.variables * len(SUMMARIES) + len(self.clinical_indices) + self.rolling_features

    @property
    def rolling_features(self) -> int:
        """Number of rolling statistics; they stand after the clinical indices."""
        return self.variables * len(self.rolling_hours) * len(ROLLING)

    @property
    def width(self) -> int:
        """Size of the state after each time step: of both directions where there are two."""
        return self.hidden_size * (2 if self.bidirectional else 1)


def check_options(options: NetworkConfig | NetworkSpec) -> None:
    """Raise unless each option of a network is of the right type and within its bounds.

    Parameters
    ----------
    options : NetworkConfig or NetworkSpec
        The options.

    Raises
    ------
    ArgumentError
        Where an option cannot be used.

    Examples
    --------
    >>> check_options(NetworkConfig(hidden_size="64"))
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected hidden_size as a whole number of 1 or more; got text. Correct it.
    """
    for name, choices in CHOICES.items():
        check_choice(name, to_python(getattr(options, name)), choices)
    for name in COUNTS:
        check_number(name, getattr(options, name), minimum=1, whole=True)
    for name in PROBABILITIES:
        check_number(name, getattr(options, name), minimum=0, maximum=1, open_maximum=True)
    for name in FLAGS:
        check_choice(name, to_python(getattr(options, name)), (True, False))
    check_number("feedback_delay_hours", options.feedback_delay_hours, minimum=0, open_minimum=True, optional=True)
    _check_list("convolution", options.convolution, int, "Write convolution=(5, 5).", "strides of 1 or more")
    check_rolling_hours(options.rolling_hours)
    if options.clinical_indices is not None:
        fix = 'Write clinical_indices=("pao2 last / fio2 last",).'
        _check_list("clinical_indices", options.clinical_indices, str, fix, "a list of formulas, or None")


def _check_list(name: str, given: Any, kind: type, fix: str, expected: str) -> None:
    """Raise unless an option is a list or tuple of whole numbers above 0, or of texts."""
    items = to_python(given)
    is_list = isinstance(items, tuple)
    good = all(type(one) is kind and (not isinstance(one, int) or one >= 1) for one in items) if is_list else False
    if not good:
        raise ArgumentError(f"{name} as {expected}", f"{given}" if is_list else describe(given), fix)


def check_spec(spec: NetworkSpec, *, every_step: bool) -> None:
    """Raise unless the options of a network can be used, and used together.

    Parameters
    ----------
    spec : NetworkSpec
        The specification.
    every_step : bool
        Whether the head predicts after each time step of a stay.

    Raises
    ------
    ArgumentError
        Where an option, or a combination, cannot be used.

    Examples
    --------
    >>> check_spec(NetworkSpec(variables=1, static_variables=(), cell="lstm", reset="before"), every_step=False)
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected cell="gru" with reset="before"; got cell="lstm". Leave reset out.
    """
    check_options(spec)
    for wrong, expected, got, fix in _compatibility(spec, every_step=every_step):
        if wrong:
            raise ArgumentError(expected, got, fix)


def _compatibility(spec: NetworkSpec, *, every_step: bool) -> Iterator[tuple[bool, str, str, str]]:
    """Each rule: whether it is broken, what was expected, what was passed, what to do."""
    cell, plain = f'cell="{spec.cell}"', spec.cell == "gru" and spec.reset == "after"
    yield spec.reset == "before" and spec.cell != "gru", 'cell="gru" with reset="before"', cell, "Leave reset out."
    yield spec.gate is not None and spec.cell == "rnn", 'a cell with gates for gate="time"', cell, "Leave gate out."
    expected, got = 'cell="gru" and reset="after" with feedback_delay_hours', f'{cell}, reset="{spec.reset}"'
    delayed = spec.feedback_delay_hours is not None
    yield delayed and not plain, expected, got, "Leave feedback_delay_hours out."
    single = spec.readout_inputs in ("separate", "apart") and spec.ensemble_size < 2
    expected = f'ensemble_size of 2 or more with readout_inputs="{spec.readout_inputs}"'
    yield single, expected, f"{spec.ensemble_size}", "Use 4."
    expected = f"a state of a multiple of {N_ATTENTION_HEADS} numbers for multi-head attention"
    uneven = spec.attention == "multihead" and spec.width % N_ATTENTION_HEADS > 0
    yield uneven, expected, f"{spec.width}", "Change hidden_size."
    fix = "Leave bidirectional out: a risk at an hour must not use later measurements."
    yield spec.bidirectional and every_step, "one direction for a prediction after each step", "two", fix
    fix = "Leave convolution out, or use strides of 1: longer strides skip time steps that need a prediction."
    strided = prod(spec.convolution) > 1 and every_step
    yield strided, "strides of 1 for a prediction after each step", f"{spec.convolution}", fix
    expected, fix = "one direction and strides of 1 with forecast_weight", "Leave forecast_weight out, or the others."
    got = f"bidirectional={spec.bidirectional}, convolution={spec.convolution}"
    yield spec.forecasts > 0 and not spec.is_causal, expected, got, fix
    nothing = spec.variables == 0 and not spec.code_vocabulary
    yield nothing, "variables or coded events", "neither", "Pass use_codes=True, or read measurements."


_DERIVED = ("variables", "static_variables", "outputs", "code_vocabulary", "forecasts", "by_variable", "window_hours")
OPTION_NAMES = tuple(field.name for field in fields(NetworkSpec) if field.name not in _DERIVED)
