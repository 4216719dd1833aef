"""Video-ChatGPT (arXiv:2306.05424)."""
