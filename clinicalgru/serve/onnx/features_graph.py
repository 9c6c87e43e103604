"""From measurements to time steps, time gaps, summaries and normal scores, as operators of ONNX."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clinicalgru.model.features.clinical_indices import SUMMARIES, TOTAL, index_of
from clinicalgru.model.network.layers import QuantileScaler
from clinicalgru.model.network.scaling import InputScaler
from clinicalgru.serve.onnx.graph import Graph, Value

LOWEST = np.float64(-1e300)


@dataclass(frozen=True)
class Facts:
    """The inputs of a graph.

    Attributes
    ----------
    value : Value of float32, shape (measurement,)
        Measurements.
    variable, stay, step : Value of int64, shape (measurement,)
        Variable and stay of each, and the number of its time step within the stay.
    hours : Value of float64, shape (measurement,)
        When it became known, since the index time.
    availability_lag : Value of float32, shape (measurement,)
        Hours from the measurement until then.
    end_hours : Value of float64, shape (stay,)
        Prediction times.
    static : Value of float32, shape (stay, static covariate)
        NaN where unknown.
    code, code_stay, code_step : Value of int64, shape (coded event,), or None
        Coded events, of a network that uses them.
    code_hours : Value of float64, shape (coded event,), or None
        When each became known.
    """

    value: Value
    variable: Value
    stay: Value
    step: Value
    hours: Value
    availability_lag: Value
    end_hours: Value
    static: Value
    code: Value | None = None
    code_stay: Value | None = None
    code_step: Value | None = None
    code_hours: Value | None = None


@dataclass(frozen=True)
class Rows:
    """Time steps of all stays, with padding at the end of the shorter ones.

    Attributes
    ----------
    stays, steps : Value of int64, shape (1,)
        Number of stays, and of time steps of the longest.
    mask : Value of float32, shape (step, stay, variable)
        1 where a variable was measured.
    locf : Value of int64, shape (step, stay, variable)
        The last measurement so far, counted from 1; 0 for none.
    delta_hours : Value of float32, shape (step, stay, variable)
        Hours since the last measurement before.
    hours : Value of float64, shape (step, stay)
        Hours since the index time; 0 in the padding.
    interval_hours : Value of float32, shape (step, stay)
        Hours since the time step before.
    valid : Value of bool, shape (step, stay)
        False in the padding.
    n_steps : Value of int64, shape (stay,)
        Time steps of each stay.
    code_row : Value of int64 or None
        Row of each coded event: step x number of stays + stay.
    """

    stays: Value
    steps: Value
    mask: Value
    locf: Value
    delta_hours: Value
    hours: Value
    interval_hours: Value
    valid: Value
    n_steps: Value
    code_row: Value | None

    @property
    def last_row(self) -> Value:
        """Row of the last time step of each stay, (stay,); of the first one in a stay without any."""
        graph = self.stays.graph
        last = graph.op("Max", self.n_steps - 1, np.array(0, dtype=np.int64))
        return last * self.stays + arange(graph, self.stays)

    @property
    def has_steps(self) -> Value:
        """(stay, 1) 1 where the stay has a time step."""
        return (self.n_steps > 0).astype(np.float32).unsqueeze(1)


def arange(graph: Graph, size: Value) -> Value:
    """Give whole numbers from 0.

    Parameters
    ----------
    graph : Graph
        The graph.
    size : Value of int64, shape (1,)
        How many.

    Returns
    -------
    Value of int64, shape (size,)
    """
    zero, one = (graph.value(number, np.int64) for number in (0, 1))
    return graph.op("Range", zero, size.reshape(), one)


def rows_of(graph: Graph, facts: Facts, variables: int) -> Rows:
    """Lay out measurements by time step.

    Parameters
    ----------
    graph : Graph
        The graph.
    facts : Facts
        Its inputs.
    variables : int
        Number of variables.

    Returns
    -------
    Rows
    """
    stay, step, hours, code_row = facts.stay, facts.step, facts.hours, None
    if facts.code_stay is not None and facts.code_step is not None and facts.code_hours is not None:
        stay, step = graph.concat(0, stay, facts.code_stay), graph.concat(0, step, facts.code_step)
        hours = graph.concat(0, hours, facts.code_hours)
    stays, one = facts.end_hours.size(0), np.array([0], dtype=np.int64)
    steps = (graph.concat(0, step, graph.value(one, np.int64)) + 1).reduce("Max", 0, keep=True)
    row = step * stays + stay
    if facts.code_stay is not None and facts.code_step is not None:
        code_row = facts.code_step * stays + facts.code_stay
    n_steps = graph.scatter(graph.fill(np.int64(0), stays), stay, step + 1, "max")
    valid = arange(graph, steps).unsqueeze(1) < n_steps.unsqueeze(0)
    at = graph.scatter(graph.fill(LOWEST, steps * stays), row, hours, "max").reshape(steps, stays)
    at = graph.where(valid, at, 0.0)
    measured_row = (facts.step * stays + facts.stay) * variables + facts.variable
    number = arange(graph, facts.value.size(0)) + 1
    cells = graph.scatter(graph.fill(np.int64(0), steps * stays * variables), measured_row, number, "max")
    latest = cells.reshape(steps, stays, variables)

    def carry(state: Value, new: Value) -> tuple[Value, Value]:
        highest = graph.op("Max", state, new)
        return highest, highest

    locf = graph.scan(carry, graph.fill(np.int64(0), stays, variables), [latest])
    before = graph.concat(0, graph.fill(np.int64(0), 1, stays, variables), locf.slice(0, -1, 0))
    seen = padded(facts.hours - facts.availability_lag.astype(np.float64)).take(before)
    since = at.unsqueeze(2) - graph.where(before > 0, seen, at.slice(0, 1, 0).unsqueeze(2))
    at32 = at.astype(np.float32)
    interval = at32 - graph.concat(0, at32.slice(0, 1, 0), at32.slice(0, -1, 0))
    return Rows(
        stays=stays,
        steps=steps,
        mask=(latest > 0).astype(np.float32),
        locf=locf,
        delta_hours=graph.where(valid.unsqueeze(2), since.astype(np.float32), 0.0),
        hours=at,
        interval_hours=graph.where(valid, interval, 0.0),
        valid=valid,
        n_steps=n_steps,
        code_row=code_row,
    )


def padded(vector: Value) -> Value:
    """Give a vector after a 0, so that its entries count from 1.

    Parameters
    ----------
    vector : Value
        The vector.

    Returns
    -------
    Value
    """
    zero = vector.graph.value(np.zeros(1, dtype=vector.dtype), vector.dtype)
    return vector.graph.concat(0, zero, vector)


def scores_of(scaler: QuantileScaler, values: Value, feature: Value) -> Value:
    """Give the normal scores of numbers, as `QuantileScaler` does.

    Parameters
    ----------
    scaler : QuantileScaler
        The scaler.
    values : Value of float32, any shape
        Numbers.
    feature : Value of int64
        The feature of each; of a shape that broadcasts with them.

    Returns
    -------
    Value of float32, of the shape of the numbers
    """
    graph, size = values.graph, scaler.knots.shape[1]
    knots, scores = scaler.knots.numpy(), scaler.scores.numpy()
    lower = (graph.value(knots, np.float32).take(feature) < values.unsqueeze(-1)).astype(np.int32)
    upper = lower.reduce("Sum", -1).astype(np.int64)
    upper = graph.op("Clip", upper, np.array(1, dtype=np.int64), np.array(size - 1, dtype=np.int64))
    upper = upper + feature * size

    def pair(table: np.ndarray) -> tuple[Value, Value]:
        flat = graph.value(table.reshape(-1).astype(np.float32), np.float32)
        return flat.take(upper - 1).astype(np.float64), flat.take(upper).astype(np.float64)

    (low, high), (below, above) = pair(knots), pair(scores)
    width = graph.op("Max", high - low, np.array(1e-300))
    fraction = graph.op("Clip", (values.astype(np.float64) - low) / width, np.array(0.0), np.array(1.0))
    return (below + fraction * (above - below)).astype(np.float32)


def summaries_of(graph: Graph, facts: Facts, rows: Rows, variables: int) -> tuple[Value, Value]:
    """Summarise the measurements of each stay, as `summarise` does.

    Parameters
    ----------
    graph : Graph
        The graph.
    facts : Facts
        Its inputs.
    rows : Rows
        Their time steps.
    variables : int
        Number of variables.

    Returns
    -------
    summaries : Value of float32, shape (stay, variable x summary)
        0 where there is none.
    known : Value of bool, of that shape
        Whether there is one.
    """
    n_cells, cell = rows.stays * variables, facts.stay * variables + facts.variable
    number = arange(graph, facts.value.size(0)) + 1
    value, measured = facts.value.astype(np.float64), facts.hours - facts.availability_lag.astype(np.float64)

    def cells(updates: Value, start: float, how: str) -> Value:
        return graph.scatter(graph.fill(updates.dtype.type(start), n_cells), cell, updates, how)

    n = cells(graph.where(number > 0, graph.value(1.0, np.float64), 0.0), 0, "add")
    has, safe = n > 0, graph.op("Max", n, np.array(1.0))
    last = cells(number, 0, "max")
    first = graph.where(has, cells(number, np.iinfo(np.int64).max, "min"), 0)
    begins = padded(value).take(first)
    off = value - begins.take(cell)
    mean = cells(off, 0, "add") / safe
    variance = cells(off * off, 0, "add") / safe - mean * mean
    std = graph.op("Sqrt", graph.op("Max", variance, np.array(0.0)))
    ends, end = padded(value).take(last), facts.end_hours.unsqueeze(1)
    hours = [
        (end - padded(measured).take(one).reshape(rows.stays, variables)).reshape(n_cells) for one in (first, last)
    ]
    range_ = [cells(value, 1e300, "min"), cells(value, -1e300, "max")]
    columns = [graph.op("Log", n + 1.0), begins + mean, std, *range_, begins, ends, ends - begins, *hours]
    table = graph.concat(1, *(column.unsqueeze(1) for column in columns)).astype(np.float32)
    always = graph.value(np.arange(len(SUMMARIES))[None] == 0, bool)
    known = graph.op("Or", has.unsqueeze(1), always)
    return tuple(  # type: ignore[return-value]
        one.reshape(rows.stays, variables * len(SUMMARIES)) for one in (graph.where(known, table, 0.0), known)
    )


def with_indices(summaries: Value, known: Value, names: list[str], indices: tuple[str, ...]) -> tuple[Value, Value]:
    """Append clinical indices to summaries, as `clinical_indices.with_indices` does.

    Parameters
    ----------
    summaries, known : Value, shape (stay, variable x summary)
        From `summaries_of`.
    names : list of str
        Names of the variables.
    indices : tuple of str
        Formulas.

    Returns
    -------
    summaries, known : Value, shape (stay, variable x summary + index)
    """
    graph, values, flags = summaries.graph, [summaries], [known]
    for formula in indices:
        index, sides = index_of(formula), list[tuple[Value, Value]]()
        for variable, summary in index.operands:
            places = [names.index(variable) * len(SUMMARIES)] * 2
            for i, name in enumerate(("count", "mean") if summary == TOTAL else (summary, summary)):
                places[i] += SUMMARIES.index(name)
            one, has = (table.slice(places[1], places[1] + 1, 1) for table in (summaries, known))
            if summary == TOTAL:
                count = graph.op("Exp", summaries.slice(places[0], places[0] + 1, 1)) - 1.0
                one = count * one
            sides.append((one, has))
        value, has = _combined(graph, index.sign, sides)
        finite = graph.op("Not", graph.op("Or", graph.op("IsNaN", value), graph.op("IsInf", value)))
        flags.append(has & finite)
        values.append(graph.where(flags[-1], value, 0.0))
    return graph.concat(1, *values), graph.concat(1, *flags)


def _combined(graph: Graph, sign: str, sides: list[tuple[Value, Value]]) -> tuple[Value, Value]:
    """The value of an index and whether it is known, from those of its operands."""
    (left, has_left), *others = sides
    if not others:
        return left, has_left
    right, has_right = others[0]
    if sign == " or lower ":
        lower = graph.op("Min", left, right)
        value = graph.where(has_left & has_right, lower, graph.where(has_left, left, right))
        return value, graph.op("Or", has_left, has_right)
    return (left / right if sign == " / " else left - right), has_left & has_right


def static_inputs(scaler: InputScaler, static: Value) -> Value:
    """Give static covariates as `InputScaler.static_inputs` does.

    Parameters
    ----------
    scaler : InputScaler
        The scaler.
    static : Value of float32, shape (stay, static covariate)
        NaN where unknown.

    Returns
    -------
    Value of float32, shape (stay, column)
    """
    graph, columns = static.graph, list[Value]()
    known = graph.op("Not", graph.op("IsNaN", static))
    filled = graph.where(known, static, 0.0)
    count = len(scaler.static_variables)
    scores = scores_of(scaler.static, filled, graph.value(np.arange(count), np.int64)) if count else filled
    for i, categories in enumerate(scaler.static_variables):
        flag = known.slice(i, i + 1, 1).astype(np.float32)
        if categories:
            category = filled.slice(i, i + 1, 1).astype(np.int64)
            limits = np.array(0, dtype=np.int64), np.array(categories - 1, dtype=np.int64)
            one_hot = graph.op("Equal", graph.op("Clip", category, *limits), np.arange(categories)[None])
            columns += [flag, one_hot.astype(np.float32) * flag]
        else:
            columns += [flag, scores.slice(i, i + 1, 1) * flag]
    return graph.concat(1, *columns) if columns else static
