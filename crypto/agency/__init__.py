"""The agency's program."""
