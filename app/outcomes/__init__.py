"""Pure: facts, quarters, cohorts, indicators, tables. No clock, no database server, no HTTP."""
