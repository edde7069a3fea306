"""Data sets: each module offers `INFO` (its facts), `load` (arrays) and `build` (batches)."""
