"""What the learners share whose weights have few bits: flags, the recipe, starting values."""
