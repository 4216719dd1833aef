"""A saved model behind HTTP: OpenAI's chat completions, with videos."""
