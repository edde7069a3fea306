"""A trained ResNet-20 for CIFAR-10 from its weights to an int8 file of half the work.

    python examples/resnet20_to_int8.py --cifar10=FOLDER --weights=resnet20.npz

FOLDER holds the binary batches of CIFAR-10; docs/installation.md says where weights come from. With
its defaults this takes the three epochs of the table in the README, which is hours on two cores;
`--nb_epochs=0` leaves the training out and takes minutes.
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
    """Go the whole way; give the accuracies and sizes of both int8 files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cifar10", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--out_dir", type=pathlib.Path, default=pathlib.Path("runs/resnet20"))
    options, others = parser.parse_known_args(argv)
    flowpress(
        "--model_helper=resnet_at_cifar10",
        f"--data_dir_local={options.cifar10}",
        f"--pretrained_path={options.weights}",
        "--learner=chn-pruned-rmt",
        "--budget=flops:0.5",
        "--nb_epochs=3",
        "--enbl_dst",
        "--loss_w_hint=10",
        "--lrn_rate_ft=0.02",
        "--tflite=int8",
        "--tflite_metadata",
        f"--out_dir={options.out_dir}",
        *others,
    )
    report = json.loads((options.out_dir / "report.json").read_text("utf-8"))
    found: dict[str, float] = {}
    for file in report["files"]:
        found |= {f"top1_{file['network']}": file["top1"]}
        found |= {f"kb_{file['network']}": file["file_bytes"] / 1000}
    print(  # noqa: T201
        f"int8: {found['kb_before']:.0f} kB and {found['top1_before']:.2%} before, "
        f"{found['kb_after']:.0f} kB and {found['top1_after']:.2%} after."
    )
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
