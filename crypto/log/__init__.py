"""The mathematics of the tamper-evident log; no I/O."""
