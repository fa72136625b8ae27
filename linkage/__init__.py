"""Pure record linkage: encodings in, links with probabilities out."""
