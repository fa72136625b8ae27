"""HTTP only: routes call flows and nothing else."""
