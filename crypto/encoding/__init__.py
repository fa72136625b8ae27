"""Profiles, keys, tokens, filters and their hardening."""
