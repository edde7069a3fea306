"""The tables of `make bench`: one module per topic, `results.json`, `results.md`.

How to write a topic is in `benchmarks.runner`.
"""

from benchmarks.rows import Context, Row, SkipRow, in_turns

__all__ = ["Context", "Row", "SkipRow", "in_turns"]
