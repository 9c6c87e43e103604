"""Ragged records, in memory and on disk."""
