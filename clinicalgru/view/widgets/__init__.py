"""Jupyter widgets."""
