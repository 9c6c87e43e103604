"""How well explanations match the model."""
