import dataclasses
import html.parser
import re

import pytest

from tests.utils.report import samples
from utils.report import Capability, Failure, File
from utils.report.html import render_html


class Checker(html.parser.HTMLParser):
    """Collects tags, checks that they are closed in order, and joins the visible text."""

    VOID = ("meta", "link", "br", "path", "use", "rect", "wbr")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def parsed(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def visible(page):
    return " ".join(" ".join(parsed(page).text).split())


def test_everything_is_on_the_page():
    text = visible(render_html(samples.full_report()))
    for part in (
        "resnet_at_cifar10: full-prec, then chn-pruned-rmt",
        "Half the compute; 238 of 10,000 samples lost; ship model_int8.tflite, 171 kB.",
        "Accuracy against size",
        "Samples lost and gained by class",
        "int8 input images 1 x 32 x 32 x 3 int8 0.00784314 -128",
        "Not at their defaults: budget flops:0.5 All 8 flags that applied",
        "89.41 % -2.32 points [-2.80, -1.84], lower before: 91.73 %",
        "Top-1 beside control 91.92 % 89.41 % -2.51 points [-3.01, -2.01], lower",
        "Beware Accuracy fell by 2.32 points",
        "FLOPs (multiply-adds) 40.8 M 20.4 M 0.50x, fewer",
        "Activations at once 49.2 k 41.0 k 0.83x, fewer",
        "int8 file of before of after change Top-1, int8 file 91.73 % 89.35 % -2.38 points",
        "int8 file 306 kB 171 kB 0.56x, smaller",
        "int8 after passed 89.35 % [88.7–89.9] +0.06 points [-0.1–0.2] 99.02 % 171 kB, 132 kB",
        "int8 before reference 91.73 % [91.2–92.2]",
        "stage1_0_conv2 Conv2D 16 → 6 16 62.5 % 2.30 k → 864 2.36 M → 885 k 0 % 32 0.031",
        "stem_norm kept LayerNormalization mixes all channels of a position",
        "budget flops:0.5",
        "selection 38.2 s",
        "main.py --model_helper=resnet_at_cifar10 '--out_dir=my runs/a'",
        "cpr_prune_ratio 0.5",
        "tensorflow 2.21.0",
        "Test CPU, 2 cores, Linux x86_64",
        "before models/model.keras",
    ):
        assert part in text


def test_files_beside_the_page_are_linked(tmp_path):
    inside, outside = tmp_path / "a b" / "model_int8.tflite", tmp_path.parent / "model.tflite"
    report = samples.report(
        files=(
            samples.file("int8", path=str(inside)),
            samples.file("float32", path=str(outside)),
        )
    )
    links = [
        attributes["href"]
        for tag, attributes in parsed(render_html(report, tmp_path)).tags
        if tag == "a"
    ]
    assert links == ["a%20b/model_int8.tflite"]


def test_the_page_needs_nothing_else():
    page = render_html(samples.full_report())
    checker = parsed(page)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in checker.tags}
    for _, attributes in checker.tags:
        assert not {"src", "srcset", "onclick", "onload"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
        assert attributes.get("xlink:href", "#").startswith("#")
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    policy = next(a["content"] for _, a in checker.tags if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_the_page_is_accessible():
    checker = parsed(render_html(samples.full_report()))
    tags = [tag for tag, _ in checker.tags]
    assert tags.count("h1") == 1
    assert dict(checker.tags)["html"]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in checker.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in checker.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "svg":
            assert attributes["aria-label"]


def test_the_page_is_made_for_phones_paper_and_the_dark():
    page = render_html(samples.report())
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media (max-width: 32rem)" in page


HOSTILE = "<script>alert('x')</script>"


@pytest.mark.parametrize(
    "change",
    [
        {"model_helper": HOSTILE},
        {"dataset": HOSTILE},
        {"learner": (HOSTILE,)},
        {"command": ("main.py", HOSTILE)},
        {"config": {HOSTILE: HOSTILE}},
        {"versions": {HOSTILE: HOSTILE}},
        {"seconds": {HOSTILE: 1.0}},
        {"notes": (HOSTILE,)},
        {"layers": (dataclasses.replace(samples.layers()[1], name=HOSTILE, op=HOSTILE),)},
        {"capability": (Capability(layer=HOSTILE, action=HOSTILE, reason=HOSTILE),)},
        {"files": (samples.file(HOSTILE, path=f'"{HOSTILE}', reasons=(HOSTILE,)),)},
        {"files": (samples.file(failed=HOSTILE),)},
        {"failures": (Failure(step=HOSTILE, reason=HOSTILE),)},
        {"before": samples.replaced(samples.BEFORE, path=HOSTILE, metrics={HOSTILE: 1.0})},
        {"training": (dataclasses.replace(samples.training()[0], stage=HOSTILE),)},
        {"searches": (dataclasses.replace(samples.search(), agent=HOSTILE, budget=HOSTILE),)},
        {"layers": (dataclasses.replace(samples.layers()[1], facts={HOSTILE: HOSTILE}),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_names_cannot_become_tags(change):
    page = render_html(samples.report(**change))
    assert "script" not in {tag for tag, _ in parsed(page).tags}
    assert "&lt;script&gt;" in page


def test_a_bare_report():
    nothing = {"top1": None, "top1_interval": None, "path": None, "flops": None}
    before = samples.replaced(samples.BEFORE, **nothing)
    after = samples.replaced(samples.AFTER, change=None, **nothing)
    text = visible(render_html(samples.report(before=before, after=after)))
    assert "Not known Accuracy was not measured." in text
    assert "Called from Python." in text
    assert "before not saved" in text
    for heading in ("Exported files", "Pictures", "Layers", "Search", "Configuration"):
        assert heading not in text


def test_digests_stand_folded_and_whole():
    digest = "0123456789abcdef" * 4
    files = (samples.file(sha256=digest), samples.file("float32", path=None, sha256=None))
    after = samples.replaced(samples.AFTER, sha256=digest[::-1])
    page = render_html(samples.report(after=after, files=files))
    assert f"SHA-256 of 2 files model.keras {digest[::-1]} model_int8.tflite {digest}" in visible(
        page
    )
    folded = page[page.index("<details><summary>SHA-256") :]
    assert folded.index(digest) < folded.index("</details>")
    assert "SHA-256" not in render_html(samples.report())


def test_failed_and_unchecked_files():
    reasons = ("accuracy 0.80 against 0.90 (--tflite_max_gap=0.01)",)
    files = (
        samples.file(passed=False, reasons=reasons, worst_layers=("conv1 (SNR 9.1 dB: bound it)",)),
        samples.file("dynamic", passed=None, gap=None, gap_interval=None),
        File(kind="float32", failed="it crashed. Leave it out."),
    )
    text = visible(render_html(samples.report(files=files)))
    assert "int8 after failed" in text
    assert "dynamic after not checked 89.35 % [88.7–89.9] –" in text
    assert "float32 after failed it crashed. Leave it out." in text
    assert "Problem The int8 file failed its check" in text
    assert (
        "The int8 file misses: accuracy 0.80 against 0.90 (--tflite_max_gap=0.01). Layers by the "
        "error they add: conv1 (SNR 9.1 dB: bound it)."
    ) in text


def test_facts_of_the_learners_are_columns():
    first, second = samples.layers()[1:3]
    layers = (
        dataclasses.replace(first, facts={"clusters": 16, "kept": "yes"}, bits_after=4),
        dataclasses.replace(second, facts={"error": 0.25}, sparsity_after=0.753),
    )
    text = visible(render_html(samples.report(layers=layers)))
    assert "zeros bits clusters kept error" in text
    assert "0 % 32 → 4 16 yes –" in text
    assert "0 % → 75.3 % 32 – – 0.25" in text


def test_several_searches():
    other = dataclasses.replace(samples.search(), stage="uniform-quant", quantity="bits")
    page = render_html(samples.report(searches=(samples.search(), other)))
    text = visible(page)
    assert "Search of chn-pruned-rmt agent ddpg" in text
    assert "Search of uniform-quant agent ddpg" in text
    ids = [a["id"] for _, a in parsed(page).tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_a_picture_that_cannot_be_drawn_leaves_the_page(monkeypatch):
    from utils.report import plots

    def broken(points):
        raise ZeroDivisionError("no axis")

    monkeypatch.setattr(plots, "training_plot", broken)
    text = visible(render_html(samples.full_report()))
    assert "Training: cannot be drawn (ZeroDivisionError: no axis)" in text
    assert "Input channels kept per layer" in text


def test_a_search_without_winner_or_comparison():
    search = dataclasses.replace(samples.search(), winner=None, uniform=None, kept=None, budget="")
    text = visible(render_html(samples.report(searches=(search,))))
    assert "Search of chn-pruned-rmt agent ddpg roll-outs 60" in text
    assert "uniform: reward" not in text
