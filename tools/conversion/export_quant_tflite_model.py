"""Write the float and the int8 `.tflite` file of a network: `export_tflite.py` by an older name.

    python tools/conversion/export_quant_tflite_model.py --model_dir=models --model_helper=…

All flags are those of `export_tflite.py`.
"""

from __future__ import annotations

import pathlib
import sys

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from tools.conversion.export_tflite import main

if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
