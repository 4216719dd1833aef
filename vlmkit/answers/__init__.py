"""Answers made elsewhere: other tools' files in, results for other tools out."""
