"""Training the network as it is."""
