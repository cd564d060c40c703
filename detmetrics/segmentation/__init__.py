"""Metrics of label maps and masks."""
