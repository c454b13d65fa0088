"""Pellucid beside other libraries, in one process run: `python -m benchmarks`, see README.md.

Nothing here is part of the package. It imports pellucid and, where they are installed, its peers.
"""
