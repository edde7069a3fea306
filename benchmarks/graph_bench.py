"""The graph: how long reading, coupling and cutting take, how that grows, and what a fuzz finds."""

from __future__ import annotations

import copy
import functools
import json
import math
import pathlib
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from benchmarks import Context, Row

if TYPE_CHECKING:
    import keras

    from utils.graph import Graph

SOURCES = ("utils/graph", "utils/archives.py", "utils/files.py")

_ROUNDS = 3
_NUM_INPUTS = 20_000
_HANG_S = 5.0
# Blocks of three convolutions per stage; with stem and head they make the depth.
_STAGES = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 500: (3, 40, 120, 3)}
# What a mutation puts in place of a value.
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 1 << 31, 1 << 62, 0.5, 1e308, "", "..", "\0", "keras.layers.Lambda"),
    *([], [[]], {}, {"$ref": ["image", 0]}, {"$tuple": [1 << 40]}, {"$slice": [None, None, 0]}),
    {"class_name": "__lambda__", "config": {"value": "4wAA"}},
)


def _resnet50(context: Context) -> Mapping[str, object]:
    return _application("ResNet50", context)


def _densenet121(context: Context) -> Mapping[str, object]:
    return _application("DenseNet121", context)


def _application(name: str, context: Context) -> dict[str, object]:
    import keras

    model = getattr(keras.applications, name)(weights=None)
    return _steps(model, context.seed)


def _steps(model: keras.Model, seed: int) -> dict[str, object]:
    """Time the three steps; every round reads the model anew, so nothing is remembered."""
    from utils.graph import channel_groups, from_keras, shrink
    from utils.graph.law import random_keep

    times: dict[str, list[float]] = {"from_keras": [], "coupling": [], "shrink": []}
    for _ in range(_ROUNDS):
        graph = _timed(times["from_keras"], functools.partial(from_keras, model))
        _timed(times["coupling"], functools.partial(channel_groups, graph))
        keep = random_keep(graph, 0.5, seed)
        _timed(times["shrink"], functools.partial(shrink, graph, keep))
    seconds = {f"{step}_s": statistics.median(values) for step, values in times.items()}
    return {"seconds": sum(seconds.values()), **seconds, "nodes": len(graph.nodes)}


def _timed(times: list[float], call: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = call()
    times.append(time.perf_counter() - started)
    return result


def _growth(context: Context) -> Mapping[str, object]:
    """Fit seconds ~ depth^exponent between the ends."""
    figures: dict[str, object] = {}
    seconds: dict[int, float] = {}
    for depth in _STAGES:
        context.log(f"{depth} layers")
        steps = _steps(bottleneck_resnet(depth), context.seed)
        seconds[depth] = float(str(steps["seconds"]))
        figures[f"seconds_{depth}"] = seconds[depth]
    first, last = min(_STAGES), max(_STAGES)
    exponent = math.log(seconds[last] / seconds[first]) / math.log(last / first)
    return {**figures, "exponent": exponent}


def bottleneck_resnet(depth: int, width: int = 16) -> keras.Model:
    """Build a ResNet of bottleneck blocks.

    Args:
        depth: 50, 101, 152 or 500 layers with kernels.
        width: channels of the first bottlenecks.
    """
    import keras
    from keras import layers

    def conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100 * depth)  # Keras walks the model recursively
    try:
        inputs = keras.Input((32, 32, 3))
        x = layers.ReLU()(conv(inputs, width, 3))
        for stage, num_blocks in enumerate(_STAGES[depth]):
            filters = width * 2**stage
            for block in range(num_blocks):
                strides = 2 if stage > 0 and block == 0 else 1
                y = layers.ReLU()(conv(x, filters, 1, strides))
                y = conv(layers.ReLU()(conv(y, filters, 3)), 4 * filters, 1)
                shortcut = conv(x, 4 * filters, 1, strides) if block == 0 else x
                x = layers.ReLU()(layers.Add()([shortcut, y]))
        outputs = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
        return keras.Model(inputs, outputs)
    finally:
        sys.setrecursionlimit(limit)


def _fuzz(context: Context) -> Mapping[str, object]:
    return fuzz(context.work_dir, context.seed, _NUM_INPUTS)


def fuzz(folder: pathlib.Path, seed: int, num_inputs: int) -> dict[str, object]:
    """Load a graph's files again and again, each time mutated in another way.

    Args:
        folder: to work in.
        seed: of the mutations; input i draws from (seed, i).
        num_inputs: number of mutated inputs.

    Returns:
        How many were refused with one line, how many loaded (the mutation was harmless), how many
        ended in another exception or took longer than 5 s, and the first such input.
    """
    from utils.errors import InputError
    from utils.graph import disk

    disk.save(small_graph(), folder)
    originals = {name: (folder / name).read_bytes() for name in (disk.GRAPH_FILE, disk.PARAMS_FILE)}
    counts = {"inputs": num_inputs, "refused": 0, "loaded": 0, "crashes": 0, "hangs": 0}
    first_bad = None
    slowest = 0.0
    signal.signal(signal.SIGALRM, _hang)
    for number in range(num_inputs):
        for name, content in mutated(originals, random.Random(f"{seed}-{number}")).items():
            (folder / name).write_bytes(content)
        started = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, _HANG_S)
        try:
            disk.load(folder)
            outcome = "loaded"
        except InputError:
            outcome = "refused"
        except _HangError:
            outcome = "hangs"
        except Exception as error:  # what the fuzz is there to find
            outcome = "crashes"
            first_bad = first_bad or f"input {number}: {type(error).__name__}: {error}"[:200]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        counts[outcome] += 1
        slowest = max(slowest, time.perf_counter() - started)
    return {**counts, "slowest_s": slowest, "first_bad": first_bad}


class _HangError(BaseException):
    """Raised by the alarm; no handler of exceptions on the way may swallow it."""


def _hang(*_: object) -> None:
    raise _HangError


def small_graph() -> Graph:
    """Make a graph with a bit of everything that a file can hold."""
    import keras
    import numpy as np
    from keras import layers, ops

    from utils.graph import from_keras

    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(inputs))
    x = ops.pad(x[:, ::2, ::2, :], ((0, 0), (0, 0), (0, 0), (1, 1)))
    x = layers.ReLU(name="relu")(x * np.linspace(0, 1, 6, dtype="float32"))
    return from_keras(keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x))))


def mutated(originals: Mapping[str, bytes], generator: random.Random) -> dict[str, bytes]:
    """Change one of the files: in its JSON, or in its bytes.

    Args:
        originals: content by file name.
        generator: draws the change.

    Returns:
        All files, one of them changed.
    """
    name = generator.choice(sorted(originals))
    if name.endswith(".json") and generator.random() < 0.7:
        content = json.loads(originals[name])
        for _ in range(generator.randint(1, 3)):
            _mutate_json(content, generator)
        return {**originals, name: json.dumps(content).encode()}
    return {**originals, name: _mutate_bytes(originals[name], generator)}


def _mutate_json(content: Any, generator: random.Random) -> None:
    """Replace, remove or repeat something at a random place."""
    places = list(_places(content))
    if not places:
        return
    parent, key = generator.choice(places)
    kind = generator.randrange(4)
    if kind == 0:
        parent[key] = copy.deepcopy(generator.choice(_ODD_VALUES))
    elif kind == 1:
        del parent[key]
    elif kind == 2:
        other, other_key = generator.choice(places)
        parent[key] = copy.deepcopy(other[other_key])
    elif isinstance(parent[key], int) and not isinstance(parent[key], bool):
        parent[key] = parent[key] * generator.choice((-1, 2, 1000)) + generator.choice((0, 1))
    else:
        parent[key] = [copy.deepcopy(parent[key])] * generator.randint(0, 3)


def _places(value: Any) -> Any:
    """Yield (container, key) of everything inside a parsed JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def _mutate_bytes(content: bytes, generator: random.Random) -> bytes:
    """Flip, cut, insert or repeat bytes."""
    data = bytearray(content)
    kind = generator.randrange(4)
    if kind == 0:
        for _ in range(generator.randint(1, 16)):
            data[generator.randrange(len(data))] = generator.randrange(256)
    elif kind == 1:
        del data[generator.randrange(len(data)) :]
    elif kind == 2:
        place = generator.randrange(len(data))
        data[place:place] = generator.randbytes(generator.randint(1, 64))
    else:
        first, second = sorted(generator.randrange(len(data)) for _ in range(2))
        data[first:first] = data[first:second]
    return bytes(data)


ROWS = (
    Row(
        name="resnet50",
        run=_resnet50,
        target={"seconds": "<= 3"},
        about="from_keras + coupling + shrink of ResNet-50, half of every group cut",
    ),
    Row(
        name="densenet121",
        run=_densenet121,
        target={"seconds": "<= 3"},
        about="from_keras + coupling + shrink of DenseNet-121, half of every group cut",
    ),
    Row(
        name="growth",
        run=_growth,
        target={"exponent": "<= 1.2"},
        about="the same for 50, 101, 152 and 500 layers: seconds ~ depth^exponent",
    ),
    Row(
        name="fuzz",
        run=_fuzz,
        target={"crashes": "== 0", "hangs": "== 0", "slowest_s": "<= 5"},
        about="20,000 mutated graph.json and params.npz",
    ),
)
