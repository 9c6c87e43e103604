"""The why: where a risk came from and how it moved."""
