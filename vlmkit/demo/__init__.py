"""A page to try one or two models on one's own videos, with Gradio."""
