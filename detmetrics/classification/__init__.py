"""Metrics of samples with labels."""
