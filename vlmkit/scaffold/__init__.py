"""Plugin packages: new ones out of templates, and the checks of one that is being written."""
