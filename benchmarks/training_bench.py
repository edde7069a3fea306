"""Training speed: our `fit` against a bare Keras `fit` of the same network, data and loss.

Both train in turns (A B A B …) in one process. An epoch lasts from its begin to the next one's, so
that what we save at its end counts; the first epoch of each turn, which traces the graph, does not.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks import Context, Row, real_data

if TYPE_CHECKING:
    import keras

    from nets.abstract_model_helper import AbstractModelHelper

SOURCES = ("utils/training", "utils/files.py", "utils/multi_gpu_wrapper.py", "nets", "datasets")

_ROUNDS = 5
_NUM_EPOCHS = 5


def digits(context: Context) -> Mapping[str, object]:
    """Measure a network of short steps, where what lies between them shows most."""
    from nets.convnet_at_digits import ModelHelper

    return _measure(context, ModelHelper(seed=context.seed), steps_per_epoch=100)


def resnet20(context: Context) -> Mapping[str, object]:
    """Measure the network of the tables."""
    from datasets.config import DataConfig
    from nets.resnet_at_cifar10 import ModelHelper

    folder = real_data.cifar10_for_a_row()
    config = ModelHelper.config_class(data=DataConfig(data_dir_local=folder))
    return _measure(context, ModelHelper(config, seed=context.seed), steps_per_epoch=20)


def _measure(
    context: Context, helper: AbstractModelHelper, *, steps_per_epoch: int
) -> dict[str, object]:
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for turn in range(_ROUNDS):
        context.log(f"round {turn + 1} of {_ROUNDS}")
        for name, train in (("ours", _train_ours), ("bare", _train_bare)):
            clock = _epoch_clock()
            train(context, helper, steps_per_epoch, clock)
            seconds[name] += clock.seconds[1:]
    images = steps_per_epoch * helper.config.batch_size
    ours, bare = (images / statistics.median(seconds[name]) for name in ("ours", "bare"))
    return {
        "images_per_second": ours,
        "ratio": ours / bare,
        "peer": {"images_per_second": bare},
    }


def _train_ours(
    context: Context, helper: AbstractModelHelper, steps_per_epoch: int, clock: Any
) -> None:
    from utils.training import FitJob, LossComposer, fit

    job = FitJob(
        make_train=lambda first_step: helper.build_dataset_train(first_step=first_step),
        steps_per_epoch=steps_per_epoch,
        num_steps=_NUM_EPOCHS * steps_per_epoch,
        optimizer=_optimizer(helper),
        loss=LossComposer(helper.calc_loss),
        state_path=context.work_dir / "state.keras",
        log_dir=context.work_dir / "logs",
        callbacks=[clock],
        resume=False,
    )
    fit(helper.build_model(), job)


def _train_bare(
    context: Context, helper: AbstractModelHelper, steps_per_epoch: int, clock: Any
) -> None:
    model = helper.build_model()
    model.compile(
        _optimizer(helper),
        loss=lambda labels, outputs: helper.calc_loss(labels, outputs, model.trainable_variables)[
            0
        ],
        metrics=["accuracy"],
    )
    model.fit(
        helper.build_dataset_train(),
        steps_per_epoch=steps_per_epoch,
        epochs=_NUM_EPOCHS,
        callbacks=[clock],
        shuffle=False,
        verbose=0,
    )


def _optimizer(helper: AbstractModelHelper) -> keras.Optimizer:
    import keras

    return keras.optimizers.SGD(helper.setup_lrn_rate()[0], momentum=helper.config.momentum)


def _epoch_clock() -> Any:
    """Make a callback whose `seconds` are the times between the begins of epochs."""
    import keras

    class EpochClock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self._begins: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._begins.append(time.perf_counter())

        @property
        def seconds(self) -> list[float]:
            return [b - a for a, b in itertools.pairwise(self._begins)]

    return EpochClock()


ROWS = (
    Row(
        name="convnet-digits",
        run=digits,
        target={"ratio": ">= 0.95"},
        about="fit against a bare Keras fit, convnet_at_digits, images per second",
    ),
    Row(
        name="resnet20-cifar10",
        run=resnet20,
        target={"ratio": ">= 0.95"},
        about="fit against a bare Keras fit, ResNet-20 on CIFAR-10, images per second",
    ),
)
