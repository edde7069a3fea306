"""What the commands about post-training quantization begin with: a network, samples, a table."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import nets
from tools.conversion.calibration import read_calibration
from tools.graph_tools.source import SourceConfig
from utils import flags
from utils.command import notes
from utils.errors import InputError
from utils.export.quiet import quiet_native
from utils.files import check_writable
from utils.flags import Parsed, flag, group

if TYPE_CHECKING:
    from learners.post_training.config import PostTrainingConfig
    from learners.post_training.recipe import PostTrained
    from nets.abstract_model_helper import AbstractModelHelper
    from utils.graph import Graph
    from utils.quantization.integers import IntegerPlan

_BATCH = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizationSource:
    """The network and what it is calibrated with."""

    network: SourceConfig = group(SourceConfig)
    model_helper: str | None = flag(
        None, "Data and metrics: a built-in name, or a path to your own .py file."
    )
    calibration_file: str | None = flag(
        None,
        "Inputs as the network sees them, [samples, ...], in a .npy file or by input name in a "
        ".npz file; with a helper, its training images are taken without this.",
        path=True,
    )
    nb_smpls_calib: int = flag(100, "Samples to calibrate with.", lower=1, upper=100_000)
    table: str | None = flag(
        None,
        "Calibration table, a .json file. One that is there is used, and no range is taken from "
        "samples; else the ranges that were found are written to it.",
    )
    seed: int = flag(0, "Of all that is random.", lower=0, upper=2**31 - 1)


def helper_configs(argv: Sequence[str]) -> list[type]:
    """List the config of the helper that is asked for, if there is one."""
    chosen = flags.peek(argv, {"model_helper": None})["model_helper"]
    return [nets.load_helper_class(chosen).config_class] if chosen else []


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A network that was read, with its samples.

    Attributes:
        config: where from.
        graph: the network.
        helper: the helper, if there is one.
        batches: calibration samples.
    """

    config: QuantizationSource
    graph: Graph
    helper: AbstractModelHelper | None
    batches: list[Any]

    def quantize(self, config: PostTrainingConfig, *, keep: bool = True) -> PostTrained:
        """Quantize the network, with the table where there is one; else it is written.

        Args:
            config: how.
            keep: write the table; without, ranges of one strategy are not another's.

        Raises:
            InputError: for a table that does not fit.
        """
        from learners.post_training.recipe import quantize, running_form
        from utils.quantization.calibration_table import read_table, write_table

        path, table = self.config.table, None
        if path and pathlib.Path(path).exists():
            table = read_table(path, running_form(self.graph, equalized=config.equalize))
            if table.equalized != config.equalize:
                raise InputError(
                    f"`table`: {path} is of a network that was {'' if table.equalized else 'not '}"
                    f"equalized. Received: --equalize={config.equalize}. Give the same, or "
                    "calibrate anew."
                )
        trained = quantize(self.graph, config, self.batches, table=table, seed=self.config.seed)
        if path and table is None and keep:
            write_table(trained.table, path)
            notes.print(f"note: the ranges are in {path}.", markup=False)
        return trained


def running_plan(source: Opened) -> tuple[Graph, IntegerPlan]:
    """Give a network as it runs, and which of its operators have an int8 form."""
    from learners.post_training.recipe import running_form
    from utils.quantization.integers import integer_plan

    running = running_form(source.graph, equalized=False)
    return running, integer_plan(running)


def check_operators(source: Opened, *, allow_float: bool) -> None:
    """Refuse operators without an int8 form, unless they may stay in float.

    Raises:
        InputError: naming the first.
    """
    floats = running_plan(source)[1].floats
    if floats and not allow_float:
        name, reason = next(iter(floats.items()))
        raise InputError(
            f"{len(floats)} operators have no int8 form, the first {name!r}: {reason}. Replace "
            "them, or give --allow_float to leave them in float."
        )


def open_source(config: QuantizationSource, parsed: Parsed) -> Opened:
    """Read the network and the samples.

    Args:
        config: where from.
        parsed: the command's flags, with the helper's config.

    Returns:
        Both.

    Raises:
        InputError: for what is missing or wrong, most of it before TensorFlow starts.
    """
    config.network.check()
    if not (config.model_helper or config.calibration_file):
        raise InputError(
            "ranges need samples: give --model_helper, or --calibration_file=inputs.npy."
        )
    if config.table:
        check_writable(config.table)
    helper = None
    if config.model_helper:
        helper_class = nets.load_helper_class(config.model_helper)
        helper = helper_class(parsed.configs[helper_class.config_class], seed=config.seed)
        helper.check_files()
    graph = config.network.graph()
    return Opened(
        config=config, graph=graph, helper=helper, batches=_samples(config, graph, helper)
    )


def _samples(
    config: QuantizationSource, graph: Graph, helper: AbstractModelHelper | None
) -> list[Any]:
    with quiet_native():
        from utils.graph import to_keras
        from utils.quantization.observation import checked_inputs, pieces

    model = to_keras(graph)
    if config.calibration_file:
        held = [
            checked_inputs(
                model, read_calibration(config.calibration_file, model, config.nb_smpls_calib)
            )
        ]
    else:
        if helper is None:
            raise ValueError("there are neither a helper nor a file.")
        data = helper.build_dataset_calibration(config.nb_smpls_calib)
        held = [
            checked_inputs(model, _numpy(batch[0] if isinstance(batch, tuple) else batch))
            for batch in data
        ]
    cut = [piece for arrays in held for piece in pieces(arrays, _BATCH)]
    return [piece[0] if len(piece) == 1 else piece for piece in cut]


def _numpy(batch: Any) -> Any:
    import keras

    return keras.tree.map_structure(lambda each: each.numpy(), batch)
