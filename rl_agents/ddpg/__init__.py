"""DDPG: an actor proposes layer by layer, a critic learns what the proposals are worth."""
