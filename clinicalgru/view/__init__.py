"""The window: plots and offline pages; shows results, computes none."""
