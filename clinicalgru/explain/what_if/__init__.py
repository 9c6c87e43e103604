"""Edited records and counterfactuals."""
