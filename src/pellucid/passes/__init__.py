"""Passes turn a graph into a better graph that means the same. Imports graph and ops."""
