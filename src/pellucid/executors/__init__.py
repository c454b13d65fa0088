"""Executors run the graph: `reference` (NumPy). Each has ``compile(program)``. Imports graph and ops."""
