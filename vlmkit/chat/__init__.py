"""Talking with a saved model: videos are looked at, conversations answered; what commands, server and page share."""
