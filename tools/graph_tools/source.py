"""Where the graph commands get their network from."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from utils.errors import InputError
from utils.export.quiet import quiet_native
from utils.files import NETWORK_ENDINGS
from utils.flags import flag

if TYPE_CHECKING:
    from utils.graph import Graph


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """The network."""

    model_file: str | None = flag(
        None,
        "A .keras or .h5 file, or a folder that export_graph.py wrote (graph.json, params.npz).",
        path=True,
    )
    graph_json: str | None = flag(
        None,
        "A graph's description by itself, such as compile_model.py's IR_…_graph.json.",
        aliases=("graph-json",),
        path=True,
        rivals=("model_file",),
        needs=("params_file", "the arrays of the graph"),
    )
    params_file: str | None = flag(
        None,
        "The .npz with the arrays of --graph_json.",
        aliases=("params-file",),
        path=True,
        needs=("graph_json", "the description of the graph"),
    )
    allow_unsafe: bool = flag(False, "Load a model that holds Python code (Lambda layers).")

    def check(self) -> pathlib.Path:
        """Find wrong names before TensorFlow takes its seconds to start.

        Raises:
            InputError: if nothing is given, or it is not there.
        """
        if self.graph_json and self.params_file:
            for name, text in (("graph_json", self.graph_json), ("params_file", self.params_file)):
                if not pathlib.Path(text).is_file():
                    raise InputError(f"`{name}`: there is no file {text!r}.")
            return pathlib.Path(self.graph_json)
        if not self.model_file:
            raise InputError(
                "`model_file` must name a .keras or .h5 file or a graph's folder. Received: none. "
                "Give --model_file=path, or --graph-json and --params-file."
            )
        path = pathlib.Path(self.model_file)
        if not path.exists():
            raise InputError(f"`model_file`: there is no file or folder {self.model_file!r}.")
        if path.is_file() and path.suffix not in NETWORK_ENDINGS:
            raise InputError(
                f"`model_file` must be a .keras or .h5 file or a folder. Received: "
                f"{self.model_file!r}. tools/conversion/compile_model.py makes a graph of other "
                "frameworks' files."
            )
        return path

    def graph(self) -> Graph:
        """Read the network.

        Raises:
            InputError: see `check`, `load_keras_model` and `utils.graph.disk.load`.
        """
        path = self.check()
        with quiet_native():  # TensorFlow's start
            from utils.files import load_keras_model
            from utils.graph import disk, from_keras

        if self.graph_json and self.params_file:
            return disk.load_files(path, self.params_file, allow_unsafe=self.allow_unsafe)
        if path.is_dir():
            return disk.load(path, allow_unsafe=self.allow_unsafe)
        model = load_keras_model(path, allow_unsafe=self.allow_unsafe)
        return from_keras(model, allow_unsafe=self.allow_unsafe)
