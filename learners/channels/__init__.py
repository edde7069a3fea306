"""What is only about channels: groups, what they cost, which stay, how candidates are scored."""
