"""Calling machine code: memory, threads, one sample, epochs. Imports build and below."""
