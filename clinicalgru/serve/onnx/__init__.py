"""ONNX: the scoring function of a model as one graph."""
