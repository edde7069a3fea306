"""The page in a real browser, where one is installed: nothing runs over, whatever the width."""

import json
import re
import shutil
import subprocess

import pytest

from tests.utils.report import samples
from utils.report.html import render_html

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
WIDTHS = (390, 768, 1280)
# The page itself forbids scripts; this one frames it and measures from outside.
_FRAMES = """<!DOCTYPE html><body><script>
const found = {}, widths = WIDTHS;
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 900; frame.src = "report.html";
  frame.onload = () => {
    const page = frame.contentDocument, root = page.documentElement;
    const outside = [...page.querySelectorAll("main *")].filter(
      (each) => !each.closest(".scroll, svg") && each.getBoundingClientRect().right > width + 1);
    found[width] = [root.scrollWidth, outside.map((each) => each.tagName + "." + each.className)];
    if (Object.keys(found).length == widths.length)
      document.body.textContent = "found" + JSON.stringify(found) + "end";
  };
  document.body.append(frame);
}
</script></body>"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    if BROWSER is None:
        pytest.skip(f"no browser is installed: one of {', '.join(BROWSERS)}")
    folder = tmp_path_factory.mktemp("page")
    (folder / "report.html").write_text(render_html(samples.full_report(), folder), "utf-8")
    frames = folder / "frames.html"
    frames.write_text(_FRAMES.replace("WIDTHS", json.dumps(WIDTHS)), "utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
               "--allow-file-access-from-files", "--virtual-time-budget=10000",
               f"--user-data-dir={folder / 'profile'}", frames.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"found(\{.*\})end", done.stdout)
    assert found, done.stdout
    return json.loads(found[1])


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_runs_over(measured, width):
    scroll_width, outside = measured[str(width)]
    assert outside == []
    assert scroll_width <= width
