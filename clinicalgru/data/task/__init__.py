"""Who is asked about, when, and with which label."""
