"""Make the pictures of the pages from a finished run.

    make demo
    python tools/docs/pictures.py --run_dir=runs/demo
    python tools/docs/pictures.py --run_dir=runs/search --only=search

Each plot of the run's report becomes an SVG in `docs/images/`, with the colors of the light page;
the head of the report, as a browser shows it, a PNG. Without a browser that one is left out.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])

from tools.command import run_command
from utils.command import notes, out
from utils.errors import InputError
from utils.files import atomic_path
from utils.flags import Parsed, flag
from utils.report import Report

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
#: What the plots of a report are called by the pages, by a part of their captions.
NAMES = {
    "Accuracy against size": "accuracy_size",
    "Input channels kept": "channels",
    "Training": "training",
    "reward over trials": "search",
}
PAGE = "report"  # the head of the page itself
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SIZE = (1100, 1250)  # pixels of the picture of the report
_NUM_COLORS = 128  # it is text and a few bars: more make a larger file, not a better picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """Which run."""

    run_dir: str = flag(
        "runs/demo", "Folder of a finished run: report.json, report.html.", path=True
    )
    only: str | None = flag(
        None,
        "Names of the pictures to make, separated by commas; without it all that the run gives.",
    )

    def __post_init__(self) -> None:
        """Refuse names of pictures that there are not."""
        unknown = sorted(self.wanted - {PAGE, *NAMES.values()})
        if unknown:
            raise InputError(
                f"`only` must name pictures out of {', '.join([PAGE, *NAMES.values()])}. Received: "
                f"{', '.join(unknown)}."
            )

    @property
    def wanted(self) -> set[str]:
        """Names of the pictures to make."""
        if self.only is None:
            return {PAGE, *NAMES.values()}
        return {name.strip() for name in self.only.split(",")}


def light(svg: str, style: str) -> str:
    """Give a plot of a report as a file of its own.

    Args:
        svg: the plot; its colors are variables of the page.
        style: the page's style sheet; the first value of a variable is the light page's.

    Returns:
        The SVG on white, without variables.
    """

    def color(found: re.Match[str]) -> str:
        value = re.search(rf"--{found[1]}: (#\w+)", style)
        if value is None:
            raise InputError(f"the page's style has no color named {found[1]!r}.")
        return value[1]

    text = re.sub(r"var\(--(\w+)\)", color, svg).replace("currentColor", "#1b1f24")
    return text.replace("<svg ", '<svg style="background:#fff" ', 1)


def _draw(parsed: Parsed) -> None:
    config: PicturesConfig = parsed.configs[PicturesConfig]
    folder = pathlib.Path(config.run_dir)
    page = folder / "report.html"
    try:
        report = Report.from_dict(json.loads((folder / "report.json").read_text("utf-8")))
        html = page.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            f"`run_dir` must be the folder of a finished run. Received: {str(folder)!r} ({error})."
        ) from error
    IMAGES.mkdir(exist_ok=True)
    for name, svg in _plots(report).items():
        if name not in config.wanted:
            continue
        with atomic_path(IMAGES / f"{name}.svg") as temporary:
            temporary.write_text(light(svg, html), encoding="utf-8")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if PAGE in config.wanted and browser is None:
        notes.print(f"note: no picture of the report: none of {', '.join(BROWSERS)} is installed.")
    elif PAGE in config.wanted and browser is not None:
        _photograph(browser, page, IMAGES / f"{PAGE}.png")
    out.print(f"written: {', '.join(sorted(path.name for path in IMAGES.iterdir()))}")


def _plots(report: Report) -> dict[str, str]:
    """Draw the plots that have a name."""
    from utils.report.plots import report_plots, trade_offs  # they take a second to import

    found = {}
    for caption, svg in (*trade_offs(report), *report_plots(report)):
        for part, name in NAMES.items():
            if part in caption and svg:
                found[name] = svg
    return found


def _photograph(browser: str, page: pathlib.Path, picture: pathlib.Path) -> None:
    from PIL import Image  # it comes with matplotlib

    with tempfile.TemporaryDirectory() as folder:
        raw = pathlib.Path(folder) / "page.png"
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   f"--user-data-dir={folder}/profile", f"--window-size={_SIZE[0]},{_SIZE[1]}",
                   f"--screenshot={raw}", page.resolve().as_uri()]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(raw) as image, atomic_path(picture) as temporary:
            few = image.convert("RGB").quantize(
                _NUM_COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
            )
            few.save(temporary, format="PNG", optimize=True)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status: 0, or 2 for bad input.
    """
    return run_command(str(__doc__).strip(), lambda: [PicturesConfig], _draw, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
