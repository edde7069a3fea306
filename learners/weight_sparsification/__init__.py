"""Weight sparsification: single weights are removed, the layers keep their shapes."""
