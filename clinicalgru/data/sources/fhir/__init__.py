"""FHIR bulk export."""
