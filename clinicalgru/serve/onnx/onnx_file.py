"""A finished graph as the content of an .onnx file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clinicalgru.serve.onnx.graph import Graph, Value

OPSET, IR_VERSION = 18, 9  # read by onnxruntime from 1.14 on


def onnx_file(
    graph: Graph, inputs: Sequence[tuple[str, Any, list[Any]]], outputs: dict[str, tuple[Value, list[Any]]]
) -> bytes:
    """Give a graph as the content of a file, checked.

    Parameters
    ----------
    graph : Graph
        The graph.
    inputs : sequence of (str, dtype, list)
        Name, type and shape of each input; a text in a shape names an axis of any size.
    outputs : dict of str to (Value, list)
        Value and shape of each output.

    Returns
    -------
    bytes
        Content of an .onnx file.
    """
    helper = graph.onnx.helper

    def info(name: str, dtype: Any, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    ends = [helper.make_node("Identity", [one.name], [name], name=name) for name, (one, _) in outputs.items()]
    results = [info(name, one.dtype, shape) for name, (one, shape) in outputs.items()]
    given = [info(*one) for one in inputs]
    content = helper.make_graph([*graph.nodes, *ends], "clinicalgru", given, results, graph.tensors)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(content, opset_imports=[opset], ir_version=IR_VERSION, producer_name="clinicalgru")
    graph.onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
