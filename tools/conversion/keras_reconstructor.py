r"""Rebuild a graph as a Keras network that can be trained.

    python tools/conversion/keras_reconstructor.py \
        --graph moffett_ir/IR_for_reconstruct_graph.json \
        --params moffett_ir/IR_for_reconstruct_params.npz --save_path net.keras

The distance to a given result (--input_npy, --result_npy) is printed; above --tolerance nothing is
written.
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
    return reconstruct(str(__doc__), ending_in("keras", ".keras", "net.keras"), argv)


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
