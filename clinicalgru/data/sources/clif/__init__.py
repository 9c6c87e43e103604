"""CLIF."""
