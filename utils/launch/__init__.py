"""Starting a command as several workers, here or on several machines, and watching over them."""
