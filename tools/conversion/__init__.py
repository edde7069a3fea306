"""Commands that convert networks from and to other formats."""
