"""Pure: what of a table may be shown."""
