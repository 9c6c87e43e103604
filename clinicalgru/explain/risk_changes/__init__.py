"""Which arrivals changed the risk."""
