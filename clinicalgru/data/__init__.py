"""The record: variables, events, sources, tasks, sequences and the synthetic cohort."""
