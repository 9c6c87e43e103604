"""The judge: arrays in, numbers with intervals out; knows no model."""
