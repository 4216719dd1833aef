"""The door to lm-eval: its command line runs the benchmarks of vlmkit on models of vlmkit."""

__all__ = ["VLMKIT_API"]

VLMKIT_API = 1
