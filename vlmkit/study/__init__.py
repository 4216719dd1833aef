"""Ablation studies: from a base spec and its variants to a table with intervals."""
