"""Passes turn a graph into a better graph that means the same. Imports graph and ops.

Each is a rule for one Value; `rewrite.py` has the loop over a program that they share.
"""
