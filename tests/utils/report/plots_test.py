import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pytest

from tests.utils.report import samples
from utils.report import Layer, Search, TrainingPoint, plots


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
        "Input channels kept per layer",
        "Training",
        "Search by ddpg: reward over roll-outs",
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
    assert plots._epochs(points) == ([0.5, 1.0, 2.0, 3.0], [("a", 0.0), ("b", 2.0)])


def test_search_names_agent_unit_and_layers():
    search = samples.search()
    assert "59 roll-outs of the ddpg search" in plots.reward_plot(search)
    found = texts(plots.setting_plot(search))
    assert {"stage1_0_conv1", "% removed", "uniform", "found"} <= set(found)
    assert "bits" in texts(plots.setting_plot(dataclasses.replace(search, quantity="bits")))


HOSTILE = ["<script>alert(1)</script>", "--><b>x</b>", "$a_b$", "x&y", '"quoted"', "\\frac{1}"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_drawn_as_they_are(name):
    layer = dataclasses.replace(samples.layers()[2], name=name)
    svg = plots.channel_plot((layer,))
    assert plots._short(name) in texts(svg)
    assert "<script" not in svg
    assert "<b>" not in svg
    search = dataclasses.replace(
        samples.search(),
        agent=name,
        winner=dataclasses.replace(samples.search().winner, setting={name: 1}),
    )
    assert plots._short(name) in texts(plots.setting_plot(search))


def test_long_names_keep_both_ends():
    short = plots._short("block_1_expand_" + "x" * 40 + "_relu")
    assert len(short) == 22
    assert short.startswith("block_1")
    assert short.endswith("_relu")


def test_svg_fits_into_the_page():
    svgs = [svg for _, svg in plots.report_plots(samples.full_report())]
    identities = [re.findall(r'\bid="([^"]+)"', svg) for svg in svgs]
    names = [name for found in identities for name in found]
    assert len(names) == len(set(names))
    for svg, found in zip(svgs, identities, strict=True):
        links = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert set(links) <= set(found)
        assert "http" not in svg.replace("http://www.w3.org/", "")
        assert "#0102" not in svg
        assert "var(--first)" in svg
        assert 'role="img"' in svg
        assert svg.rstrip().endswith("</svg>")


def test_the_same_report_gives_the_same_picture():
    assert plots.channel_plot(samples.layers()) == plots.channel_plot(samples.layers())
