"""Contributions by integration along a path."""
