"""Checks of an extract before it is used."""
