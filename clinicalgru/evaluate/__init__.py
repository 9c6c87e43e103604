"""Evaluation: arrays in, metrics with confidence intervals out; independent of models."""
