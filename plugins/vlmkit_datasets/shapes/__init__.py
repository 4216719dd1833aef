"""The generator behind `moving-shapes`: what is shown (plan), how it looks (draw), where it is kept (store)."""
