"""Spec files: loading, overrides, validation, error report, JSON schema. No torch anywhere in here."""
