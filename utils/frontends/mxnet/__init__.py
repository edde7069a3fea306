"""MXNet networks: a `-symbol.json` file and the `.params` file beside it."""
