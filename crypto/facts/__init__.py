"""Closed schemas of the facts that agencies submit, and their validation."""
