"""The Python front door: `from flowpress import compress`, run from the checkout.

    report = compress(model, train_ds, eval_ds, learner="chn-pruned-rmt", prune_ratio=0.5)
    report.model.save("smaller.keras")

takes any Keras model. Every flag of the command line is a keyword, with or
without its learner's prefix (`cpr_prune_ratio`, `prune_ratio`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import learners
from learners.config import RunConfig
from nets.config import KerasModelConfig as HelperConfig
from pipeline.plan import make_plan
from utils import flags
from utils.command import quiet_tensorflow
from utils.errors import InputError

if TYPE_CHECKING:
    import keras

    from utils.report import Report

__all__ = ["compress"]

# Flags about what compress() is given as arguments.
_NOT_OPTIONS = frozenset({"learner", "model_helper", "exec_mode", "pretrained_path", "debug"})


def compress(
    model: "keras.Model",
    train_ds: Any,
    eval_ds: Any,
    *,
    learner: str = "chn-pruned-rmt",
    out_dir: str = "runs/compress",
    **options: Any,
) -> "Report":
    """Compress a trained Keras model.

    Args:
        model: any Keras model. Compiled, its loss and metrics are used as `evaluate` uses them;
            else cross-entropy by the shape of the labels. It is not changed.
        train_ds: arrays (x, y) or (x, y, sample_weights), a tf.data.Dataset of such batches, or a
            keras.utils.PyDataset; each epoch goes through it once.
        eval_ds: the same, of data that were not trained on, for the final figures.
        learner: name of the learner, or several separated by commas.
        out_dir: folder for the resulting files and the report.
        **options: any flag, e.g. `prune_ratio=0.5`, `budget="flops:0.5"`, `nb_epochs=3`.

    Returns:
        The report; its `model` is the compressed network.

    Raises:
        InputError: for options, data or a network that cannot be used.
    """
    quiet_tensorflow()
    names = [learners.canonical_name(name.strip()) for name in learner.split(",")]
    stage_classes = [learners.config_class(name) for name in names]
    values = _flag_values({**options, "out_dir": out_dir}, stage_classes)
    values["learner"] = ",".join(names)
    run = flags.build(RunConfig, _only(RunConfig, values))
    helper_config = flags.build(HelperConfig, _only(HelperConfig, values))
    stage_configs = [flags.build(cls, _only(cls, values)) for cls in stage_classes]
    from nets.keras_model_helper import KerasModelHelper

    helper = KerasModelHelper(model, train_ds, eval_ds, helper_config, seed=run.seed)
    plan = make_plan(run, stage_configs, starts_from_file=False)
    from pipeline import stages  # imports TensorFlow: after the options are checked

    return stages.compress(plan, helper, helper.build_model(), command=())


def _flag_values(options: Mapping[str, Any], stage_classes: Sequence[type]) -> dict[str, Any]:
    """Turn keyword names into flag names."""
    known = {
        spec.name: spec
        for cls in (RunConfig, HelperConfig, *stage_classes)
        for spec in flags.describe(cls)
        if spec.name not in _NOT_OPTIONS
    }
    values = {}
    for option, value in options.items():
        prefixed = [
            prefix + option
            for prefix in ("", *(getattr(cls, "PREFIX", "") for cls in stage_classes))
            if prefix + option in known
        ]
        if not prefixed:
            raise InputError(f"compress() has no option {option!r}. {flags.nearest(option, known)}")
        spec = known[prefixed[0]]
        text = spec.type is str and value is not None
        values[spec.name] = str(value) if text else value
    return values


def _only(config_class: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names = {spec.name for spec in flags.describe(config_class)}
    return {name: value for name, value in values.items() if name in names}
