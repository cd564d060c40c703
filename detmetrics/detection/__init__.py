"""Detection metrics: ``update()`` goes through inputs.py and settle.py into rows, ``compute()`` through readers."""
