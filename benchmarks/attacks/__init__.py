"""Attacks on stored encodings: what somebody who holds them, and a register, learns without the secret."""
