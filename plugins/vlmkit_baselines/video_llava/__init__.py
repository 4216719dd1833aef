"""Video-LLaVA (arXiv:2311.10122)."""
