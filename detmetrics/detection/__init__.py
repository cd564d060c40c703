"""Detection metrics: one state of rows and overlaps, read in many ways."""
