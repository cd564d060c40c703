"""State as a value: rows that concatenate and totals that add, over batches, ranks, merges and checkpoints."""
