"""Training targets that networks and tree baselines share; no torch."""
