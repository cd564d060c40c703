"""Benchmarks: detmetrics beside its peers, on the same generated data in the same run. ``python -m benchmarks.run``."""
