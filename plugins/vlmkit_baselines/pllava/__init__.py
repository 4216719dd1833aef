"""PLLaVA (arXiv:2404.16994)."""
