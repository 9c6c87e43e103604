"""A small writer of ONNX graphs: values with operators, constants, weights of 8 bits, and loops over time steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clinicalgru.optional_packages import import_optional

SMALLEST_QUANTIZED = 256  # numbers of a weight matrix that is worth 8 bits
BOOLEAN = ("Less", "Greater", "Equal", "And", "Or", "Not", "IsNaN", "IsInf")


class Value:
    """A tensor of a graph, with the operators of numpy.

    Parameters
    ----------
    graph : Graph
        The graph.
    name : str
        Its name.
    dtype : numpy.dtype
        Type of its numbers.
    """

    def __init__(self, graph: Graph, name: str, dtype: Any) -> None:
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def __add__(self, other: Any) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: Any) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self.graph.op("Div", self, other)

    def __matmul__(self, other: Any) -> Value:
        return self.graph.op("MatMul", self, other)

    def __lt__(self, other: Any) -> Value:
        return self.graph.op("Less", self, other)

    def __gt__(self, other: Any) -> Value:
        return self.graph.op("Greater", self, other)

    def __and__(self, other: Any) -> Value:
        return self.graph.op("And", self, other)

    def astype(self, dtype: Any) -> Value:
        """Give it as numbers of another type.

        Parameters
        ----------
        dtype : dtype
            The type.

        Returns
        -------
        Value
        """
        onnx, dtype = self.graph.onnx, np.dtype(dtype)
        to = onnx.helper.np_dtype_to_tensor_dtype(dtype)
        return self if dtype == self.dtype else self.graph.op("Cast", self, dtype=dtype, to=to)

    def reshape(self, *shape: Any) -> Value:
        """Give it in another shape.

        Parameters
        ----------
        *shape : int or Value
            Sizes of the axes; -1 for what is left, 0 for the size that the axis has.

        Returns
        -------
        Value
        """
        return self.graph.op("Reshape", self, self.graph.shape(*shape))

    def unsqueeze(self, *axes: int) -> Value:
        """Give it with further axes of size 1.

        Parameters
        ----------
        *axes : int
            Their places.

        Returns
        -------
        Value
        """
        return self.graph.op("Unsqueeze", self, np.array(axes, dtype=np.int64))

    def transpose(self, *axes: int) -> Value:
        """Give it with its axes in another order.

        Parameters
        ----------
        *axes : int
            The order.

        Returns
        -------
        Value
        """
        return self.graph.op("Transpose", self, perm=list(axes))

    def size(self, axis: int) -> Value:
        """Give the size of an axis.

        Parameters
        ----------
        axis : int
            Its place.

        Returns
        -------
        Value of int64, shape (1,)
        """
        return self.graph.op("Shape", self, dtype=np.int64, start=axis, end=axis + 1)

    def take(self, index: Any, axis: int = 0) -> Value:
        """Give entries of an axis.

        Parameters
        ----------
        index : Value or array of int64
            Positions.
        axis : int
            The axis.

        Returns
        -------
        Value
        """
        return self.graph.op("Gather", self, self.graph.value(index, np.int64), axis=axis)

    def slice(self, first: Any, end: Any, axis: int) -> Value:
        """Give consecutive entries of an axis.

        Parameters
        ----------
        first, end : int or Value
            From which, and before which.
        axis : int
            The axis.

        Returns
        -------
        Value
        """
        places = [self.graph.shape(first), self.graph.shape(end), np.array([axis], dtype=np.int64)]
        return self.graph.op("Slice", self, *places)

    def reduce(self, kind: str, *axes: int, keep: bool = False) -> Value:
        """Give the sum, mean, minimum or maximum over axes.

        Parameters
        ----------
        kind : str
            "Sum", "Mean", "Min" or "Max".
        *axes : int
            The axes.
        keep : bool
            Whether the axes stay, with size 1.

        Returns
        -------
        Value
        """
        return self.graph.op(f"Reduce{kind}", self, np.array(axes, dtype=np.int64), keepdims=int(keep))


class Graph:
    """Nodes of an ONNX graph, or of the body of a loop in it.

    Parameters
    ----------
    int8 : bool
        Whether weight matrices are stored in 8 bits.
    root : Graph or None
        The graph that a body is part of.
    """

    def __init__(self, *, int8: bool = False, root: Graph | None = None) -> None:
        self.onnx = import_optional("onnx.helper", "onnx.numpy_helper", "onnx", extra="onnx")
        self.root = root or self
        self.int8, self.nodes = int8, list[Any]()
        self.count, self.tensors, self.known = 0, list[Any](), dict[tuple[Any, ...], Value]()

    def _name(self, stem: str) -> str:
        self.root.count += 1
        return f"{stem.lower()}_{self.root.count}"

    def value(self, content: Any, dtype: Any) -> Value:
        """Give a value as it is, and anything else as a constant.

        Parameters
        ----------
        content : Value, array or number
            What it is.
        dtype : dtype
            Type of a number; an array keeps its own.

        Returns
        -------
        Value
        """
        if isinstance(content, Value):
            return content
        array = content if isinstance(content, np.ndarray) else np.asarray(content, dtype=dtype)
        key = (array.tobytes(), array.shape, array.dtype.str)
        if key not in self.root.known:
            name = self._name("constant")
            self.root.tensors.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
            self.root.known[key] = Value(self.root, name, array.dtype)
        return self.root.known[key]

    def weight(self, array: np.ndarray, axis: int = -1) -> Value:
        """Give a weight matrix; in 8 bits with a scale for each entry of an axis, where that is requested.

        Parameters
        ----------
        array : ndarray of float32
            The weights.
        axis : int
            The axis of the outputs.

        Returns
        -------
        Value of float32
        """
        if not self.root.int8 or array.size < SMALLEST_QUANTIZED:
            return self.value(np.ascontiguousarray(array), np.float32)
        axis %= array.ndim
        others = tuple(one for one in range(array.ndim) if one != axis)
        scale = np.maximum(np.abs(array).max(axis=others, keepdims=True) / 127, np.float32(1e-30)).astype(np.float32)
        quantized = np.rint(array / scale).astype(np.int8)
        zeros = np.zeros(array.shape[axis], dtype=np.int8)
        inputs = [self.root.value(part, None) for part in (quantized, scale.reshape(-1), zeros)]
        return self.root.op("DequantizeLinear", *inputs, dtype=np.float32, axis=axis)

    def shape(self, *sizes: Any) -> Value:
        """Give a list of sizes.

        Parameters
        ----------
        *sizes : int or Value of int64, shape (1,)
            The sizes.

        Returns
        -------
        Value of int64, shape (size,)
        """
        if not any(isinstance(size, Value) for size in sizes):
            return self.value(np.array(sizes, dtype=np.int64), np.int64)
        parts = [size if isinstance(size, Value) else np.array([size], dtype=np.int64) for size in sizes]
        return self.op("Concat", *parts, dtype=np.int64, axis=0) if len(parts) > 1 else self.value(parts[0], np.int64)

    def op(self, kind: str, *inputs: Any, dtype: Any = None, **attributes: Any) -> Value:
        """Add an operator.

        Parameters
        ----------
        kind : str
            Its name in ONNX.
        *inputs : Value, array or number
            Its inputs; a number has the type of the first value.
        dtype : dtype, optional
            Type of the output; that of the first value, or bool of a comparison, where None.
        **attributes
            Its attributes.

        Returns
        -------
        Value
        """
        first = next((one.dtype for one in inputs if isinstance(one, Value)), np.dtype(np.int64))
        values = [self.value(one, first) for one in inputs]
        place = next((one.graph for one in values if one.graph is not self.root), self.root)  # the body of a loop
        name = self._name(kind)
        place.nodes.append(
            self.onnx.helper.make_node(kind, [one.name for one in values], [name], name=name, **attributes)
        )
        return Value(place, name, dtype or (bool if kind in BOOLEAN else first))

    def where(self, condition: Value, yes: Any, no: Any) -> Value:
        """Give one of two values by a condition.

        Parameters
        ----------
        condition : Value of bool
            The condition.
        yes, no : Value or number
            One of them is a value.

        Returns
        -------
        Value
        """
        dtype = next(one.dtype for one in (yes, no) if isinstance(one, Value))
        return self.op("Where", condition, self.value(yes, dtype), self.value(no, dtype), dtype=dtype)

    def concat(self, axis: int, *parts: Value) -> Value:
        """Join values along an axis.

        Parameters
        ----------
        axis : int
            The axis.
        *parts : Value
            What to join.

        Returns
        -------
        Value
        """
        return self.op("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]

    def fill(self, number: Any, *shape: Any) -> Value:
        """Give a tensor of one number.

        Parameters
        ----------
        number : numpy number
            Which one.
        *shape : int or Value
            Its shape.

        Returns
        -------
        Value
        """
        content = self.onnx.numpy_helper.from_array(np.array([number]))
        return self.op("ConstantOfShape", self.shape(*shape), dtype=np.asarray(number).dtype, value=content)

    def scatter(self, start: Value, index: Value, updates: Value, how: str) -> Value:
        """Combine numbers into the cells of a vector.

        Parameters
        ----------
        start : Value, shape (cell,)
            The vector before.
        index : Value of int64, shape (entry,)
            The cell of each number.
        updates : Value, shape (entry,)
            The numbers.
        how : str
            "add", "min" or "max".

        Returns
        -------
        Value, shape (cell,)
        """
        return self.op("ScatterElements", start, index, updates, axis=0, reduction=how)

    def scan(
        self, step: Callable[..., tuple[Value, Value]], state: Value, inputs: Sequence[Value], *, reverse: bool = False
    ) -> Value:
        """Run a loop over the first axis.

        Parameters
        ----------
        step : callable
            From the state and one entry of each input to the next state and an output.
        state : Value
            The state before the first step.
        inputs : sequence of Value, shape (step, ...)
            What the loop goes over.
        reverse : bool
            Whether it runs from the last step to the first; outputs stand in the order of the inputs.

        Returns
        -------
        Value, shape (step, ...)
            The outputs.
        """
        helper, body = self.onnx.helper, Graph(root=self.root)
        arguments = [Value(body, body._name("in"), one.dtype) for one in (state, *inputs)]
        outputs = [body.op("Identity", one) for one in step(*arguments)]

        def info(one: Value) -> Any:
            return helper.make_tensor_value_info(one.name, helper.np_dtype_to_tensor_dtype(one.dtype), None)

        content = helper.make_graph(body.nodes, "step", [info(a) for a in arguments], [info(o) for o in outputs])
        final, out = self._name("state"), self._name("scan")
        ways = {"scan_input_directions": [int(reverse)] * len(inputs), "scan_output_directions": [int(reverse)]}
        names = [one.name for one in (state, *inputs)]
        node = helper.make_node(
            "Scan", names, [final, out], name=out, body=content, num_scan_inputs=len(inputs), **ways
        )
        self.root.nodes.append(node)
        return Value(self.root, out, outputs[1].dtype)
