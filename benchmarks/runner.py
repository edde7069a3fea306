"""Runs the benchmark rows that have no result yet: `python -m benchmarks [TOPIC …]`.

A topic is a module `benchmarks/<topic>_bench.py`; the file's name adds the topic. It has `ROWS`, a
sequence of `Row`, or a function `rows()` that returns one:

    from benchmarks import Context, Row, in_turns

    SOURCES = ("utils/graph", "nets")        # optional; see below

    def cut(context: Context) -> dict[str, object]:
        from utils.graph import shrink       # TensorFlow and the product: only inside the functions
        folder = context.data("weights")     # skips the row where the data are missing
        seconds = in_turns({"ours": …, "peer": …}, rounds=5)      # timed A B A B …
        ours, peer = (statistics.median(seconds[name]) for name in ("ours", "peer"))
        return {
            "seconds": ours,                 # figures: numbers, text or None; units in the names
            "ratio": ours / peer,
            "peer": {"seconds": peer},       # optional: the same figure of what it is measured against
            "target": {"ratio": "<= 0.80"},  # optional: targets that depend on what was measured
        }

    ROWS = (
        Row(name="resnet20-half", run=cut, target={"seconds": "<= 2"}, about="cut ResNet-20 …"),
    )

Every row runs in a process of its own: it starts with an empty memory (its peak is recorded as
`peak_memory_mib`), and a crash takes nothing with it. A result belongs to (topic, row, seed, machine,
code), where *code* is a digest of the topic module and of the Python files in its `SOURCES` (paths
from the checkout's root; default `rows.DEFAULT_SOURCES`): a row is measured anew when any of these
changed, or with `--again`. Results are stored after every row, so a stopped run goes on with the
next row. Rows that cannot run here raise `SkipRow` (`context.data` does) and are not recorded.
"""
