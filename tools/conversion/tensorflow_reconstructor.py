r"""Rebuild a graph as a frozen TensorFlow graph (.pb), or as a SavedModel (a folder).

    python tools/conversion/tensorflow_reconstructor.py \
        --graph moffett_ir/IR_for_reconstruct_graph.json \
        --params moffett_ir/IR_for_reconstruct_params.npz \
        --input_npy input.npy --result_npy result.npy --save_path tf_reconstruct.pb

A path without an ending names the folder of a SavedModel. The distance to the graph in Keras, and
to the given result, is printed; above --tolerance nothing is written.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from tools.conversion.reconstruction import reconstruct
from utils.errors import InputError


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    return reconstruct(str(__doc__), _chosen, argv)


def _chosen(save_path: str | None) -> str:
    ending = pathlib.Path(save_path).suffix if save_path else ".pb"
    if ending not in (".pb", ""):
        raise InputError(
            f"`save_path` must end in .pb, or name a folder. Received: {save_path!r}. Give "
            "--save_path=tf_reconstruct.pb."
        )
    return "pb" if ending else "saved_model"


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
