"""The laws of sequence estimators, as named checks."""
