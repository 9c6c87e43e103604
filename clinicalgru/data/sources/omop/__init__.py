"""OMOP CDM."""
