"""Explanations: contributions to a risk, its changes over time, what-if analysis and tests of faithfulness."""
