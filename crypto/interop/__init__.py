"""Other tools' encodings, bit for bit: clkhash's schemas and CLKs. For exchange, not for protection."""
