"""What the command prints when it is asked what it can do, or for nothing at all."""

import pathlib
import tomllib
from collections.abc import Mapping, Sequence

import learners
import nets
from learners.config import RunConfig
from utils import flag_texts, flags

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_FULL = ("--help=all", "--helpfull")

WHAT_TO_TYPE = """\
Flowpress makes trained Keras networks smaller and faster. Type:

  python main.py --model=net.keras --data=DATA --budget=flops:0.5

DATA is a folder with a sub-folder of images per class, a .npz or a .csv, among others. Nothing at
hand? `make demo` trains a small network and halves it. `python main.py --help` says more."""

PAGE = """\
Flowpress makes trained Keras networks smaller and faster, and measures what that costs.

Usage: python main.py --model=net.keras --data=DATA [--flag=value …]

  python main.py --model=net.keras --data=DATA --budget=flops:0.5        half the multiply-adds
  python main.py --model=net.keras --data=DATA --learner=uniform-tf      int8, trained for it
  python main.py --model=net.keras --data=DATA --budget=nonzeros:0.2     a fifth of the weights
  python main.py --model=net.keras --data=DATA --exec_mode=eval          only score the network
  python main.py --model_helper=my_net.py --learner=full-prec,chn-pruned-rmt    train, then cut

  --model         the trained network: .keras, .h5, .onnx, .tflite, .pb, a PyTorch module
  --data          a folder with a sub-folder of images per class, a .npz, .csv or .py file, a folder
                  of idx or TFRecord files, or digits, mnist, fmnist, cifar10, fsdd
  --budget        what may stay: flops:0.5, params:0.5, bytes:100k, nonzeros:0.2, bits:4, …
  --learner       how; without it what the budget speaks of is cut. --help=all lists them
  --nb_epochs     epochs of training afterwards (0: none)
  --enbl_dst      let the network before teach the one after
  --out_dir       where files and report go; without it runs/<network>_<budget>
  --tflite        which files are made: float32, int8, …
  --scale         what the network sees of images: 0..1, 0..255, -1..1, imagenet; else found out
  --model_helper  instead of --model and --data: your own Python file with network and data

--help=all lists every flag, --help=all --learner=NAME those of one learner. Pages: docs/index.md"""


def is_asked(argv: Sequence[str]) -> bool:
    """Whether every flag is asked for."""
    return any(arg in _FULL for arg in argv)


def short_answer(argv: Sequence[str]) -> str | None:
    """Answer what needs no look at the other flags.

    Args:
        argv: the arguments.

    Returns:
        What to type where nothing was typed, the short page, the version; None for other commands.
    """
    if not argv:
        return WHAT_TO_TYPE
    if "--version" in argv:
        return f"Flowpress {version()}"
    if not is_asked(argv) and any(arg in ("--help", "-h") for arg in argv):
        return PAGE
    return None


def version() -> str:
    """Read Flowpress' version where it is declared."""
    with (_ROOT / "pyproject.toml").open("rb") as stream:
        return str(tomllib.load(stream)["project"]["version"])


def all_flags(helper: Mapping[str, type], own: Mapping[str, type]) -> str:
    """Write every flag that applies.

    Args:
        helper: the config of network and data, by title.
        own: the configs of the learners to show, by title.
    """
    table = [f"  {name:16} {entry.summary}" for name, entry in learners.LEARNERS.items()]
    sections: dict[str, Sequence[type]] = {"Every run": [RunConfig]}
    sections |= {title: [cls] for title, cls in {**helper, **own}.items() if flags.describe(cls)}
    head = ["Learners (--learner=…):", *table, "", "Networks (--model_helper=…):"]
    head += [f"  {name}" for name in nets.HELPERS] + ["  path/to/your_own.py", ""]
    return "\n".join(head) + "\n" + flag_texts.help_text(sections)
