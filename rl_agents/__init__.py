"""Agents that know vectors and rewards, nothing of compression.

A new agent is a subclass of `rl_agents.base.Agent` (or `VectorAgent`) and one row in the table of
those who use it, `learners/search/agents.py`; the contract tests in `tests/rl_agents/base_test.py`
take it from there.
"""
