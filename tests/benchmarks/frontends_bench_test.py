"""What the rows of front ends are made of, on small parts."""

import keras
import numpy as np

from benchmarks.frontends_bench import closed_form, fuzz, story_figures


def test_damaged_files_of_all_readers(tmp_path):
    found = fuzz(tmp_path, seed=1, num_inputs=35)
    assert found["crashes"] == found["hangs"] == 0, found["first_bad"]
    assert found["refused"] > 20 and found["inputs"] == 35


def test_figures_of_a_story():
    files = [
        {"network": "before", "kind": "int8", "top1": 0.9, "file_bytes": 9},
        {"network": "after", "kind": "float32", "top1": 0.8, "file_bytes": 8},
        {"network": "after", "kind": "int8", "top1": 0.7, "file_bytes": 2},
    ]
    report = {"before": {"top1": 0.91, "flops": 10}, "after": {"top1": 0.81, "flops": 6}}
    assert story_figures({**report, "files": files}) == {
        "before_top1": 0.91,
        "after_top1": 0.81,
        "int8_top1": 0.7,
        "flops_kept": 0.6,
        "int8_bytes": 2,
    }


def test_a_network_is_cut_without_labels_or_training(tmp_path):
    """The way of the row for EfficientNet, on two of its blocks."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    y = keras.layers.ReLU(6.0)(keras.layers.Conv2D(24, 1, name="expand")(x))
    y = keras.layers.ReLU(6.0)(keras.layers.DepthwiseConv2D(3, padding="same", name="depth")(y))
    x = keras.layers.Add()([x, keras.layers.Conv2D(8, 1, name="project")(y)])
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(5, name="fc")(x))
    draw = np.random.default_rng(0)
    images, others = (draw.normal(size=(40, 8, 8, 3)).astype(np.float32) for _ in range(2))
    quick = {"nb_repts": 1, "nb_repts_warmup": 0, "cpr_nb_crops_per_smpl": 4}
    found = closed_form(model, images, others, tmp_path / "run", budget="flops:0.8", **quick)
    assert found["flops_kept"] <= 0.8
    assert found["agreement_float"] > 0.5 and found["agreement_int8"] > 0.5
