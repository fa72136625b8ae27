"""The agency's program: encode, validate, submit, verify; nothing of the service."""
