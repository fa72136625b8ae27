"""What an agency installs and runs on its own machine; it imports nothing else of ours."""

__version__ = "0.1.0"
