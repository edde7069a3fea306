"""The document of post-training quantization: a YAML file in the place of flags.

    MODEL:
        graph: models/resnet50/graph.json      # and params.npz in the same folder
        params: models/resnet50/params.npz
    QUAN:
        strategy: symmetry_max
        qconfig:
            weight_quan: perlayer
            table: calibrations/resnet50.json
            image_path: images.npy             # samples to calibrate with
    EVALUATION:
        input_node: '0:0'
        output_node: '506:0'
    SAVE_PATH: resnet50_int8.pb                # or .tflite, .onnx, a folder

`MODEL` may name a `file: model.keras` instead; graph and params may be of any names, such as the
`IR_fused_for_CModel_graph.json` and `…_params.npz` of compile_model.py. `strategy: null` is the
strategy of that name; nothing else may be empty. Paths are those of the folder in which the command
runs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from utils.command import notes
from utils.document import Section, load
from utils.errors import InputError

_FLAGS = ("--config-file", "--config_file")
_KEYS = ("MODEL", "QUAN", "EVALUATION", "SAVE_PATH")
_NETWORK = ("model_file", "graph_json", "params_file")  # flags that name the network together
_UNUSED = ("input_images", "label_file", "image_file")


def argv_of(argv: Sequence[str]) -> list[str]:
    """Replace `--config-file` by the flags that stand for its document.

    Args:
        argv: the arguments.

    Returns:
        The document's flags, then the others of `argv`, which count before them.

    Raises:
        InputError: if the document cannot be read, or holds what it must not.
    """
    rest, path = [], None
    given = iter(argv)
    for each in given:
        name, has_value, value = each.partition("=")
        if name not in _FLAGS:
            rest.append(each)
            continue
        path = value if has_value else next(given, "")
        if not path:
            raise InputError(f"`{name}` must name a .yml file. Received: none.")
    return rest if path is None else [*_flags(path, rest), *rest]


def _flags(path: str, given: Sequence[str]) -> list[str]:
    source = f"`config-file`: {path}"
    document = Section(source, "", load(path, source), _KEYS)
    found = _model(document)
    if document.names("QUAN"):
        quan = Section(source, "QUAN", document.raw("QUAN"), ("strategy", "qconfig"))
        found["strategy"] = _strategy(quan)
        if quan.names("qconfig"):
            keys = ("weight_quan", "table", "image_path")
            inner = Section(source, "QUAN.qconfig", quan.raw("qconfig"), keys)
            found["weight_quan"] = _text(inner, "weight_quan")
            found["table"] = _text(inner, "table")
            found["calibration_file"] = _text(inner, "image_path")
    if document.names("EVALUATION"):
        known = ("input_node", "output_node", *_UNUSED)
        inner = Section(source, "EVALUATION", document.raw("EVALUATION"), known)
        found["input_node"] = _text(inner, "input_node")
        found["output_node"] = _text(inner, "output_node")
        unused = [key for key in _UNUSED if inner.has(key)]
        if unused:
            notes.print(
                f"note: {', '.join(unused)} of EVALUATION have no effect: give --model_helper for "
                "test images and labels.",
                markup=False,
            )
    found["out_file"] = _text(document, "SAVE_PATH")
    taken = {each.partition("=")[0].lstrip("-").replace("-", "_") for each in given}
    if taken & {*_NETWORK}:  # another network, not parts of two
        taken |= {*_NETWORK}
    return [
        f"--{key}={value}" for key, value in found.items() if value is not None and key not in taken
    ]


def _text(section: Section, key: str) -> str | None:
    return section.text(key) if section.names(key) else None


def _strategy(quan: Section) -> str | None:
    """Give the strategy; without quotes YAML reads the name of one, null, as nothing."""
    if quan.names("strategy") and quan.raw("strategy") is None:
        return "null"
    return _text(quan, "strategy")


def _model(document: Section) -> dict[str, str | None]:
    """Give the flags that name the network."""
    if not document.names("MODEL"):
        return {}
    keys = ("graph", "params", "file")
    model = Section(document.source, "MODEL", document.raw("MODEL"), keys)
    if model.names("file"):
        return {"model_file": model.text("file")}
    graph, params = (pathlib.Path(model.text(key)) for key in ("graph", "params"))
    if graph.parent == params.parent and (graph.name, params.name) == ("graph.json", "params.npz"):
        return {"model_file": str(graph.parent)}
    return {"graph_json": str(graph), "params_file": str(params)}
