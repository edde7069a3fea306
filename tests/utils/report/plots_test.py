import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pytest

from tests.utils.report import samples
from utils.report import Layer, Search, TrainingPoint, plots
from utils.report import svg as svg_parts


def texts(svg):
    root = ElementTree.fromstring(svg)
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_channels_kept_per_layer():
    svg = plots.channel_plot(samples.layers())
    found = texts(svg)
    assert "stage1_0_conv2" in found
    assert "6 of 16" in found
    assert "9 of 20 layers were cut" in svg


def test_normalization_layers_have_no_bar():
    conv = samples.layers()[2]
    norm = dataclasses.replace(conv, name="norm", op="keras.layers.BatchNormalization")
    assert "norm" not in texts(plots.channel_plot((conv, norm)))


def test_many_layers_become_a_profile_without_names():
    svg = plots.channel_plot(samples.layers(num_blocks=40))
    assert "layer, in the table's order" in texts(svg)
    assert "stage1_0_conv2" not in svg


def test_nothing_to_draw():
    unknown = Layer(
        name="a", op="X", params_before=1, params_after=1, flops_before=0, flops_after=0
    )
    assert plots.channel_plot((unknown,)) == ""
    assert plots.channel_plot(samples.layers()[:1]) == ""
    assert plots.training_plot(()) == ""
    assert plots.reward_plot(Search(agent="tpe", rollouts=(), winner=None)) == ""
    assert plots.setting_plot(Search(agent="tpe", rollouts=(), winner=None)) == ""
    assert list(plots.report_plots(samples.report())) == []


def test_all_plots_of_a_full_report():
    captions = [caption for caption, _ in plots.report_plots(samples.full_report())]
    assert captions == [
        "Samples lost and gained by class",
        "Input channels kept per layer",
        "Training",
        "Search by ddpg: reward over trials",
        "Search by ddpg: choice per layer",
    ]


def test_training_shows_stages_and_validation():
    found = texts(plots.training_plot(samples.training()))
    assert {"training", "validation", "fine tuning", "loss", "accuracy, %", "epoch"} <= set(found)


def test_training_with_loss_only_has_one_panel():
    points = [TrainingPoint(stage="t", epoch=1, step=step, loss=1 / step) for step in (1, 2)]
    svg = plots.training_plot(points)
    assert "accuracy" not in svg
    assert "loss" in texts(svg)


def test_points_within_epochs_are_spread_and_stages_follow_each_other():
    points = [
        TrainingPoint(stage=stage, epoch=epoch, step=0)
        for stage, epochs in (("a", (1, 1, 2)), ("b", (1,)))
        for epoch in epochs
    ]
    tracks = plots._tracks(points)
    assert [(track.stage, track.start, track.positions) for track in tracks] == [
        ("a", 0.0, [0.5, 1.0, 2.0]),
        ("b", 2.0, [3.0]),
    ]


def test_what_was_trained_for_comparison_stands_beside():
    stages = {"full-prec": 3, "prune:uniform": 2, "prune": 2, "bits": 1, "control": 3}
    points = [
        TrainingPoint(stage=stage, epoch=epoch, step=epoch, loss=1.0)
        for stage, number in stages.items()
        for epoch in range(1, number + 1)
    ]
    starts = {track.stage: (track.start, track.beside) for track in plots._tracks(points)}
    assert starts == {
        "full-prec": (0.0, False),
        "prune:uniform": (3.0, True),
        "prune": (3.0, False),
        "bits": (5.0, False),
        "control": (3.0, True),  # it ends where the run does
    }
    found = texts(plots.training_plot(points))
    assert "prune:uniform, training" in found
    assert "control, training" in found


def test_search_names_agent_unit_and_layers():
    search = samples.search()
    assert "59 trials of the ddpg search" in plots.reward_plot(search)
    found = texts(plots.setting_plot(search))
    assert {"stage1_0_conv1", "% removed", "uniform", "found"} <= set(found)
    assert "bits" in texts(plots.setting_plot(dataclasses.replace(search, quantity="bits")))


HOSTILE = ["<script>alert(1)</script>", "--><b>x</b>", "$a_b$", "x&y", '"quoted"', "\\frac{1}"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_drawn_as_they_are(name):
    layer = dataclasses.replace(samples.layers()[2], name=name)
    svg = plots.channel_plot((layer,))
    assert svg_parts.shortened(name) in texts(svg)
    assert "<script" not in svg
    assert "<b>" not in svg
    search = dataclasses.replace(
        samples.search(),
        agent=name,
        winner=dataclasses.replace(samples.search().winner, setting={name: 1}),
    )
    assert svg_parts.shortened(name) in texts(plots.setting_plot(search))


def test_long_names_keep_both_ends():
    short = svg_parts.shortened("block_1_expand_" + "x" * 40 + "_relu")
    assert len(short) == 22
    assert short.startswith("block_1")
    assert short.endswith("_relu")


def test_svg_fits_into_the_page():
    report = samples.full_report()
    svgs = [svg for draw in (plots.trade_offs, plots.report_plots) for _, svg in draw(report)]
    identities = [re.findall(r'\bid="([^"]+)"', svg) for svg in svgs]
    names = [name for found in identities for name in found]
    assert len(names) == len(set(names))
    for svg, found in zip(svgs, identities, strict=True):
        links = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert set(links) <= set(found)
        assert "http" not in svg.replace("http://www.w3.org/", "")
        assert "#0102" not in svg
        assert "var(--" in svg
        assert 'role="img"' in svg
        assert svg.rstrip().endswith("</svg>")


def test_the_same_report_gives_the_same_picture():
    assert plots.channel_plot(samples.layers()) == plots.channel_plot(samples.layers())
