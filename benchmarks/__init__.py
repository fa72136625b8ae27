"""Speed and quality beside the peers, measured in one run; ``python -m benchmarks [NAME ...]``."""
