"""The ModelHelper of a graph in two files and data that lie somewhere: `--graph`, `--params`.

`tools/conversion/compile_model.py` writes such a graph of a network of any framework. Everything
else is told from network and data, see `nets.network_on_data`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nets import network_on_data
from nets.config import ImportedConfig
from utils.errors import InputError

if TYPE_CHECKING:
    import keras


class ModelHelper(network_on_data.ModelHelper):
    """A graph on data, see the module."""

    config_class: ClassVar[Any] = ImportedConfig
    config: ImportedConfig  # type: ignore[assignment]

    def check_files(self) -> None:
        """Look for the files, then see the base class."""
        for name in ("graph", "params", "data"):
            value = self.config.data_source if name == "data" else getattr(self.config, name)
            if not value:
                raise InputError(
                    f"--model_helper=imported needs --{name}. Give --graph=IR_for_reconstruct_"
                    "graph.json --params=IR_for_reconstruct_params.npz --data=DATA."
                )
            if name != "data" and not Path(value).is_file():
                raise InputError(f"`{name}`: there is no file {value!r}.")
        super().check_files()

    def _load(self) -> keras.Model:
        from utils.graph import disk, to_keras, traceable

        graph = disk.load_files(
            str(self.config.graph), str(self.config.params), allow_unsafe=self.allow_unsafe
        )
        return traceable(to_keras(graph))

    @property
    def _file(self) -> Path:
        """The graph's description."""
        return Path(str(self.config.graph))
