"""A network that hears spoken digits, made for a Cortex-M: an int8 file and its array in C.

    python examples/keyword_for_microcontroller.py --fsdd=FOLDER

FOLDER holds `fsdd_8k_int16.npz` (docs/fsdd.md says how it is made). The network is trained,
loses half of its multiply-adds in multiples of the channels that CMSIS-NN likes, is run by
TensorFlow Lite Micro, and is written as an array that a firmware is linked with.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def flowpress(*flags: str) -> None:
    """Run the command as in a shell."""
    subprocess.run([sys.executable, str(ROOT / "main.py"), *flags], check=True)


def main(argv: list[str]) -> dict[str, float]:
    """Go the whole way; give what the firmware has to find room for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fsdd", type=pathlib.Path, required=True)
    parser.add_argument("--out_dir", type=pathlib.Path, default=pathlib.Path("runs/keywords"))
    parser.add_argument("--epochs", default="20,5")
    options, others = parser.parse_known_args(argv)
    flowpress(
        "--model_helper=dscnn_at_fsdd",
        f"--data_dir_local={options.fsdd}",
        "--learner=full-prec,chn-pruned-rmt",
        "--budget=flops:0.5",
        f"--nb_epochs={options.epochs}",
        "--enbl_dst",
        "--target=cortex-m",
        "--export_c_array",
        f"--out_dir={options.out_dir}",
        *others,
    )
    report = json.loads((options.out_dir / "report.json").read_text("utf-8"))
    file = next(f for f in report["files"] if (f["kind"], f["network"]) == ("int8", "after"))
    needs = {
        "flash_kb": file["file_bytes"] / 1000,
        "arena_kb": file["on_device"]["sram_bytes"] / 1000,
        "accuracy": file["top1"],
    }
    print(  # noqa: T201
        f"{file['path']} and its array: {needs['flash_kb']:.1f} kB of flash, "
        f"{needs['arena_kb']:.1f} kB of working memory, {needs['accuracy']:.1%} right."
    )
    return needs


if __name__ == "__main__":
    main(sys.argv[1:])
