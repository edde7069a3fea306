"""What every search shares: budgets, per-layer tables, the environment, rewards."""
