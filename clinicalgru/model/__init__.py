"""The GRU: recurrence, layers, network, training, estimators, and the baseline it is measured against."""
