"""Data quality checks of an extract."""
