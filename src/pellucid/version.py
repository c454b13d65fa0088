"""The version, which files tell that were written by it. Imports nothing."""

__version__ = "0.1.0"
