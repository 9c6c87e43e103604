"""Summaries and clinical indices; no torch."""
