"""Commands that start workers."""
