"""What a training run is given and what it returns."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.training.loss import LossComposer
from utils.training.wrapped_optimizer import layers_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitJob:
    """One training run; `fit(model, job)` carries it out, or on.

    Attributes:
        make_train: gives the infinite training data from batch `first_step` on; elements are
            (images, labels). A batch must depend on its index only, else a resumed run differs.
        steps_per_epoch: steps (batches) of an epoch.
        num_steps: steps of the whole run; the last epoch may be a part of one.
        optimizer: a Keras optimizer that was not used before; it holds its schedule.
        loss: the loss to minimize.
        state_path: `.keras` file of the resumable state; plain Keras loads it too.
        saved: the plain network that the state's file holds, where the model that is trained has
            wrappers or auxiliary heads around it; it shares its variables with that. Its outputs
            are the first of the model's and those that the loss of the helper is given. None for
            the model itself.
        extra_variables: further variables that are saved and resumed, of a callback or a term. What
            the model has beside `saved` is kept anyway.
        keep_zeros: hold the weights that are exactly zero at the start there, see
            `MaskedOptimizer`; a network without zeros is trained as if it were off.
        val_data: finite data that is scored after each epoch, or None.
        save_step: steps between two saves; the end of an epoch is saved as well.
        summ_step: steps between two TensorBoard scalars; None for about 200 points.
        log_dir: folder of the TensorBoard files; None writes none.
        seed: of the run.
        stage: name in the progress line.
        callbacks: Keras callbacks, called after each step before the state is saved. Their
            `self.model.network` is the model that is trained, `self.model.optimizer.iterations` the
            number of steps done.
        advice: what the user can do if training diverges; without it, to lower the rate.
        fingerprint: JSON-like values that must be equal for a run to be resumed.
        extra: JSON-like values of the caller's, kept in the state beside the network.
        resume: take up a saved state; False starts anew and replaces it.
        quiet: no progress line.
        workers: of a multi-GPU run.
    """

    make_train: Callable[[int], tf.data.Dataset]
    steps_per_epoch: int
    num_steps: int
    optimizer: keras.optimizers.Optimizer
    loss: LossComposer
    state_path: str | os.PathLike[str]
    saved: keras.Model | None = None
    extra_variables: Sequence[keras.Variable] = ()
    keep_zeros: bool = True
    val_data: tf.data.Dataset | None = None
    save_step: int = 10000
    summ_step: int | None = None
    log_dir: str | os.PathLike[str] | None = None
    seed: int = 0
    stage: str = "training"
    callbacks: Sequence[keras.callbacks.Callback] = ()
    advice: str = ""
    fingerprint: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resume: bool = True
    quiet: bool = False
    workers: MultiGpuWrapper = dataclasses.field(default_factory=MultiGpuWrapper)

    def __post_init__(self) -> None:
        for name, lowest in {
            "steps_per_epoch": 1,
            "num_steps": 0,
            "save_step": 1,
            "summ_step": 1,
        }.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise InputError(f"`{name}` must be at least {lowest}. Received: {value}.")
        if any(getattr(layer, "use_ema", False) for layer in layers_of(self.optimizer)):
            raise InputError(
                "the optimizer must have use_ema=False: averaged weights replace the trained ones "
                "after the last save, so that a resumed run would differ. Received use_ema=True."
            )

    @property
    def num_epochs(self) -> int:
        """Number of epochs, the last one possibly a part."""
        return -(-self.num_steps // self.steps_per_epoch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    """What came of a run, over all its sessions.

    Attributes:
        history: a row per epoch: `epoch` and `step` (both counted from 1, at its end), `loss`, the
            loss' metrics such as `accuracy`, both again with `val_` for the validation data,
            `lrn_rate` (of the next step), `seconds`, `images_per_second`.
        num_steps: steps done.
        resumed_from: step at which this session took up a saved state; None for a new run.
    """

    history: tuple[Mapping[str, float], ...]
    num_steps: int
    resumed_from: int | None = None

    @property
    def seconds(self) -> float:
        """Time of all epochs with their validation."""
        return sum(row["seconds"] for row in self.history)

    @property
    def images_per_second(self) -> float:
        """Training images a second, mean over the epochs; 0 without any."""
        rates = [row["images_per_second"] for row in self.history]
        return len(rates) / sum(1 / rate for rate in rates) if rates else 0.0
