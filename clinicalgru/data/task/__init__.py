"""Tasks: eligible stays, index time, prediction time and label."""
