"""From normalised fields to keyed filters: profile, normalise, tokens, keys, bloom, hardening, encode."""
