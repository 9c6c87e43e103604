"""The GRU: recurrence, layers, network, training, estimators, and the rival it is measured against."""
