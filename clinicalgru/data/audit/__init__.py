"""The audit: what looks wrong in events, counted and pointed at, never mended."""
