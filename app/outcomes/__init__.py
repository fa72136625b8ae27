"""Pure: facts, quarters, indicators, tables."""
