"""Commands that look at a network's graph."""
