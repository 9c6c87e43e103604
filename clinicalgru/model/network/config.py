"""Shape: the sizes and options of a network, as they stand in a manifest; and which of them go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Self

from clinicalgru.errors import ArgumentError
from clinicalgru.model.features.clinical_indices import SUMMARIES

CHOICES: dict[str, tuple[str | None, ...]] = {
    "cell": ("gru", "lstm", "rnn"),
    "reset": ("after", "before"),
    "gate": (None, "time"),
    "attention": ("additive", "multihead", None),
    "encoder": ("values", "per_variable"),
}
COUNTS = ("hidden_size", "readout_size", "members", "layers")
SHARES = ("dropout", "recurrent_dropout")
HEADS = 4  # of multi-head attention


@dataclass(frozen=True)
class Shape:
    """The sizes and options of a network.

    variables          series variables
    static_variables            levels of each static descriptor; 0 = a number
    outputs            numbers that the head asks for at each point
    hidden_size        size of the recurrent state
    readout_size       size of the readout's hidden layers
    members            cheap members that share the readout
    dropout            in the readout, on the sequence's part of it, and between layers
    cell               "gru", "lstm" or "rnn"
    reset              where a GRU's reset gate stands: "after" the recurrent product (PyTorch) or "before" (Cho et al.)
    gate               "time": the update gate of a GRU, or the forget gate of an LSTM, sees the gaps
    feedback_delay_hours        the state so many hours ago comes back, weighted by a gate; None: it does not
    layers             recurrent layers, one upon the other
    bidirectional      each layer also reads the stay from its end
    layer_norm         each layer's states are normalised
    recurrent_dropout  part of the state that the recurrent products do not see; one mask for each stay
    convolution        strides of causal convolutions over the steps, before the recurrence; (): none
    attention          "additive", "multihead" or None: the last state alone
    encoder            "values": all variables enter the recurrence as they are; "per_variable": each is embedded first
    codes              the coded events the network knows; (): none
    indices            clinical indices in the readout, such as "pao2 last / fio2 last"; (): none
    forecasts          numbers that a line from each state says, while training, of what is measured next
    by_variable        the first outputs are two of each variable, which also come straight from its own summaries
    """

    variables: int
    static_variables: tuple[int, ...]
    outputs: int = 1
    hidden_size: int = 64
    readout_size: int = 128
    members: int = 4
    dropout: float = 0.2
    cell: str = "gru"
    reset: str = "after"
    gate: str | None = None
    feedback_delay_hours: float | None = None
    layers: int = 1
    bidirectional: bool = False
    layer_norm: bool = False
    recurrent_dropout: float = 0.0
    convolution: tuple[int, ...] = ()
    attention: str | None = "additive"
    encoder: str = "values"
    codes: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    forecasts: int = 0
    by_variable: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a manifest; `from_dict` reads it back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Self:
        """The shape of a manifest; an option that an older one does not name has its default.

        >>> shape = Shape(variables=3, static_variables=(0, 2), convolution=(2,))
        >>> Shape.from_dict(shape.to_dict()) == shape
        True
        """
        options: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in written.items()}
        return cls(**options)

    @property
    def causal(self) -> bool:
        """Whether the state after each step is that of a stay which ended there."""
        return not self.bidirectional and prod(self.convolution) == 1

    @property
    def features(self) -> int:
        """Summaries of all variables, and the clinical indices."""
        return self.variables * len(SUMMARIES) + len(self.indices)

    @property
    def width(self) -> int:
        """Size of the state after each step: both directions' where there are two."""
        return self.hidden_size * (2 if self.bidirectional else 1)


def check_shape(shape: Shape, *, every_step: bool) -> None:
    """Refuse with ArgumentError, in one sentence, what cannot be or does not go together.

    every_step  whether the head asks after each step of a stay

    >>> check_shape(Shape(variables=1, static_variables=(), cell="lstm", reset="before"), every_step=False)
    Traceback (most recent call last):
    clinicalgru.errors.ArgumentError: Expected cell="gru" with reset="before"; got cell="lstm". Leave reset out.
    """
    for name, choices in CHOICES.items():
        if getattr(shape, name) not in choices:
            known = ", ".join(_shown(choice) for choice in choices)
            raise ArgumentError(f"{name} among {known}", _shown(getattr(shape, name)), "Choose one of them.")
    for name in COUNTS:
        if getattr(shape, name) < 1:
            raise ArgumentError(f"{name} of 1 or more", f"{getattr(shape, name)}", "Correct it.")
    for name in SHARES:
        if not 0 <= getattr(shape, name) < 1:
            raise ArgumentError(f"{name} from 0 to below 1", f"{getattr(shape, name)}", "Correct it.")
    if shape.feedback_delay_hours is not None and not 0 < shape.feedback_delay_hours < float("inf"):
        raise ArgumentError(
            "feedback_delay_hours above 0, or None", f"{shape.feedback_delay_hours}", "Give the hours to look back."
        )
    if any(not isinstance(stride, int) or stride < 1 for stride in shape.convolution):
        raise ArgumentError("convolution as strides of 1 or more", f"{shape.convolution}", "Write convolution=(5, 5).")
    for wrong, expected, got, fix in _together(shape, every_step=every_step):
        if wrong:
            raise ArgumentError(expected, got, fix)


def _together(shape: Shape, *, every_step: bool) -> Iterator[tuple[bool, str, str, str]]:
    """Whether a combination is impossible; what was expected, what came, what to do."""
    cell, plain = f"cell={_shown(shape.cell)}", shape.cell == "gru" and shape.reset == "after"
    size = shape.width
    yield shape.reset == "before" and shape.cell != "gru", 'cell="gru" with reset="before"', cell, "Leave reset out."
    yield shape.gate is not None and shape.cell == "rnn", 'a cell with gates for gate="time"', cell, "Leave gate out."
    not_plain = f"{cell}, reset={_shown(shape.reset)}"
    fix = "Leave feedback_delay_hours out."
    yield (
        shape.feedback_delay_hours is not None and not plain,
        'cell="gru" and reset="after" with feedback_delay_hours',
        not_plain,
        fix,
    )
    heads = f"a state of a multiple of {HEADS} numbers for multi-head attention"
    yield shape.attention == "multihead" and size % HEADS > 0, heads, f"{size}", "Change hidden_size."
    fix = "Leave bidirectional out: a risk by the hour must not see what came later."
    yield shape.bidirectional and every_step, "one direction for a prediction after each step", "two", fix
    fix = "Leave convolution out, or take strides of 1: a stride passes over steps that are to be predicted at."
    strided = prod(shape.convolution) > 1 and every_step
    yield strided, "strides of 1 for a prediction after each step", f"{shape.convolution}", fix
    several = shape.forecasts > 0 and not shape.causal
    fix = "Leave forecast_weight out, or bidirectional and strides."
    yield several, "one direction and strides of 1 with forecast_weight", "others", fix
    nothing = shape.variables == 0 and not shape.codes
    yield nothing, "variables or coded events", "neither", "Pass codes=True, or read measurements."


def _shown(choice: str | None) -> str:
    return "None" if choice is None else f'"{choice}"'


# from the stays and what is asked of them
DERIVED = ("variables", "static_variables", "outputs", "codes", "indices", "forecasts", "by_variable")
OPTIONS = tuple(field.name for field in fields(Shape) if field.name not in DERIVED)
