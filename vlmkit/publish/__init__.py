"""A saved model for others: a folder for the Hub with its card, and a capsule by which its results can be replayed."""
