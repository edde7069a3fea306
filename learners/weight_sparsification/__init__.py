"""Weight sparsification (Zhu & Gupta, 2017): single weights, patterns or tiles become zero."""
