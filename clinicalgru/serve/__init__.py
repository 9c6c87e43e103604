"""The round: bundles and scoring."""
