"""Tests of what people write: conditions, definitions, mappings."""
