"""MEDS datasets."""
