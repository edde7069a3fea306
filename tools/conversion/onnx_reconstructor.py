r"""Rebuild a graph as an ONNX model.

    python tools/conversion/onnx_reconstructor.py \
        --graph moffett_ir/IR_for_reconstruct_graph.json \
        --params moffett_ir/IR_for_reconstruct_params.npz --save_path net.onnx

Maps come in and go out channels first. The distance to the graph in Keras, and to a given result,
is printed; above --tolerance nothing is written. Layers that have no form in ONNX here are named,
all at once.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from tools.conversion.reconstruction import ending_in, reconstruct


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    return reconstruct(str(__doc__), ending_in("onnx", ".onnx", "net.onnx"), argv)


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
