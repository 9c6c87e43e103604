"""Numbers and narratives as text."""
