"""Talking with a saved model: questions about one's own videos, a chat, an HTTP server, a page to try it."""
