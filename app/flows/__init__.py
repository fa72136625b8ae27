"""One file per story, readable from top to bottom."""
