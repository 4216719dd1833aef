"""Benchmarks: the registry of entries, their annotation files as documents, and the protocols of each."""
