"""Chat-UniVi (arXiv:2311.08046)."""
