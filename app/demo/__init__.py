"""The Cincinnati and Northern Kentucky scenario, told over the public interfaces only."""
