"""Channel pruning by proximal gradient descent, layer by layer."""
