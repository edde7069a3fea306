"""The ModelHelper: a network with its data, its loss and its schedule.

A subclass gives `forward` and the two dataset builders; everything else has a default. It lives in
any file and is chosen by `--model_helper=path/to/file.py`.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nets.config import HelperConfig
from nets.short_forms import (
    full_dataset_signature,
    full_schedule_signature,
    without_fixed_training,
)
from utils.causes import is_users
from utils.digests import code_digest
from utils.errors import InputError
from utils.export.data_facts import DataFacts
from utils.shards import counted

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


# Scale and shift of normalization layers, scales and ranges of quantized activations.
_UNDECAYED = ("gamma", "beta", "scale", "least", "greatest")


class AbstractModelHelper(abc.ABC):
    """Base of every helper.

    Attributes:
        config_class: the class of `config`; a subclass may extend `HelperConfig`.
        num_epochs: epochs of a full training at `nb_epochs_rat` = 1.
        epochs_decay: epochs (of `num_epochs`) after which the learning rate changes.
        decay_rates: what `lrn_rate_init` is multiplied with before, between and after those.
        config: the flags' values.
        seed: of the data's order, augmentation and splits.
        worker: (rank, number of workers) of a multi-process run; whoever starts one sets it.
        allow_unsafe: whether files of networks may hold Python code; the command sets it.
    """

    config_class: ClassVar[type[HelperConfig]] = HelperConfig
    num_epochs: ClassVar[float] = 250
    epochs_decay: ClassVar[Sequence[float]] = (100, 150, 200)
    decay_rates: ClassVar[Sequence[float]] = (1.0, 0.1, 0.01, 0.001)

    def __init__(self, config: HelperConfig | None = None, seed: int = 0) -> None:
        self.config = self.config_class() if config is None else config
        self.seed = seed
        self.worker = (0, 1)
        self.allow_unsafe = False
        self._calibration: dict[int, tf.data.Dataset] = {}
        self._to_logits: Callable[[Any], Any] = lambda outputs: outputs

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let a subclass write the short signatures; callers use the full ones."""
        super().__init_subclass__(**kwargs)
        if "build_dataset_train" in cls.__dict__:
            cls.build_dataset_train = full_dataset_signature(cls.build_dataset_train)  # type: ignore[method-assign]
        if "setup_lrn_rate" in cls.__dict__:
            cls.setup_lrn_rate = full_schedule_signature(cls.setup_lrn_rate)  # type: ignore[method-assign]

    # --- data ---------------------------------------------------------------------------------

    @abc.abstractmethod
    def build_dataset_train(
        self, enbl_trn_val_split: bool = False, *, first_step: int = 0
    ) -> tf.data.Dataset | tuple[tf.data.Dataset, tf.data.Dataset]:
        """Build the training batches.

        A subclass may leave out `first_step` (then batches are skipped), be finite (then it is
        repeated) and leave out `enbl_trn_val_split` (then learners that need held-out data
        refuse the helper).

        Args:
            enbl_trn_val_split: hold out a part of the training split for validation.
            first_step: the batch at which the dataset begins.

        Returns:
            An infinite dataset of (images, labels); with `enbl_trn_val_split` a pair of that and
            a finite one of the held-out part.
        """

    @abc.abstractmethod
    def build_dataset_eval(self) -> tf.data.Dataset:
        """Build the finite batches of the test split: in order, not augmented, all images."""

    def build_dataset_calibration(self, nb_smpls: int) -> tf.data.Dataset:
        """Build batches of training images for calibration.

        Args:
            nb_smpls: number of images.

        Returns:
            A finite dataset of (images, labels). Here the first that training sees; helpers of the
            built-in data sets give them without augmentation.
        """
        if nb_smpls not in self._calibration:
            with self.undivided():
                training: Any = self.build_dataset_train()
            # Read once and kept: a data set that shuffles gives other images at every pass.
            batches = training.unbatch().take(nb_smpls).batch(self.config.batch_size_eval).cache()
            for _ in batches:
                pass
            self._calibration[nb_smpls] = counted(batches)
        return self._calibration[nb_smpls]

    @contextlib.contextmanager
    def undivided(self) -> Iterator[None]:
        """Let data sets that are built inside give every worker all training batches."""
        worker, self.worker = self.worker, (0, 1)
        try:
            yield
        finally:
            self.worker = worker

    def build_dataset_val(self) -> tf.data.Dataset | None:
        """Build finite batches on which training is followed, epoch by epoch; none here.

        They are neither trained on nor the test split.
        """
        return None

    def check_files(self) -> None:  # noqa: B027  optional to override
        """Read the data files, if there are any, without TensorFlow.

        Raises:
            InputError: if files are missing, truncated or corrupted.
        """

    def data_digest(self) -> str | None:
        """Digest the data: a resumed run must have the same; None where that cannot be told."""
        return None

    def identity(self) -> dict[str, str | None]:
        """Tell what a resumed run must share beside the flags: the user's code and the data."""
        file = getattr(sys.modules.get(type(self).__module__), "__file__", None)
        own = file is not None and is_users(file)
        return {
            "model_helper_file": code_digest(file) if own and file else None,
            "data": self.data_digest(),
        }

    @property
    def data_facts(self) -> DataFacts:
        """What users of a file must know of the data: labels, normalization; here nothing."""
        return DataFacts()

    def plain_labels(self, labels: Any) -> Any:
        """Give the labels of a batch without what rides on them, such as sample weights."""
        return labels

    # --- network ------------------------------------------------------------------------------

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network on symbolic inputs, in Keras layers and ops.

        A helper with the older pair `forward_train(inputs, data_format)` and `forward_eval` is
        accepted: the former makes the network.

        Args:
            inputs: [batch, *input_shape].

        Returns:
            The logits [batch, classes].

        Raises:
            InputError: if the subclass has neither `forward` nor `forward_train`.
        """
        legacy = getattr(self, "forward_train", None)
        if legacy is None:
            raise InputError(
                f"{type(self).__name__} has no forward(self, inputs). Write one that returns the "
                "logits, in Keras layers or keras.ops."
            )
        takes_format = "data_format" in inspect.signature(legacy).parameters
        return legacy(inputs, data_format="channels_last") if takes_format else legacy(inputs)

    def build_model(self) -> keras.Model:
        """Make the Functional model of `forward`, with fresh weights.

        Returns:
            A model named `model_name` whose input is named `images`.

        Raises:
            InputError: if `forward` doesn't return outputs that depend on its inputs.
        """
        import keras

        from utils.graph import traceable, traceable_name

        inputs = keras.Input(self.input_shape, name="images")
        outputs = self.forward(inputs)
        try:
            model = keras.Model(inputs, outputs, name=traceable_name(self.model_name))
        except ValueError as error:
            raise InputError(
                f"{type(self).__name__}.forward does not make a Functional model: "
                f"{str(error).splitlines()[0]}. Return outputs computed from `inputs` with Keras "
                "layers or keras.ops."
            ) from error
        return without_fixed_training(traceable(model))

    def warm_start(self, model: keras.Model) -> None:  # noqa: B027  optional to override
        """Change the fresh weights before training; does nothing here."""

    def postprocess(self, outputs: Any) -> Any:
        """Decode the network's outputs for `dump_n_eval`, outside the exported graph.

        Box decoding, suppression of doubles and the like. The identity here.
        """
        return outputs

    def logits(self, outputs: Any) -> Any:
        """Turn the network's outputs into logits, for distillation.

        Here what `find_logits` found undoes a softmax or a sigmoid at the network's end.
        """
        return self._to_logits(outputs)

    def find_logits(self, network: keras.Model) -> None:
        """Look at the end of the network that is trained, so that `logits` can undo it.

        Raises:
            InputError: if its outputs are no logits and cannot be made some; a `logits` of the
                subclass's own is not looked at.
        """
        if self.has_own_logits:
            return
        from utils.training.logits import logits_function

        self._to_logits = logits_function(network, self._some_inputs, self._output_meanings())

    @property
    def has_own_logits(self) -> bool:
        """Whether the subclass has a `logits` of its own."""
        return type(self).logits is not AbstractModelHelper.logits

    @property
    def scores_classes(self) -> bool:
        """Whether the loss is a cross-entropy between classes of the network's only output."""
        return type(self).calc_loss is AbstractModelHelper.calc_loss

    def _some_inputs(self) -> Any:
        return next(iter(self.build_dataset_eval()))[0]

    def _output_meanings(self) -> Sequence[str | None]:
        return ()

    # --- metrics over a whole set -----------------------------------------------------------------

    def build_metrics(self) -> Sequence[keras.metrics.Metric]:
        """Make Keras metrics whose state sees every batch of a set; none here.

        For what is no mean over the images: AUC, recall, mean IoU. They are updated with (labels,
        outputs), for the network, for every exported file and for the candidates of a search.

        Returns:
            New objects at every call. One of a class of your own may have an attribute
            `higher_is_better`, so that it can decide.
        """
        return ()

    def dump_n_eval(self, outputs: Any, action: str) -> Mapping[str, float]:
        """Collect outputs for metrics over the whole evaluation set, in its order.

        A subclass may add an argument `labels`; then other sets are scored so as well.

        Args:
            outputs: of one evaluation step, decoded by `postprocess`; None but for `dump`.
            action: `init` before the first step, `dump` per step, `eval` after the last.

        Returns:
            The metrics for `eval`, else nothing. Here there are none.
        """
        del outputs, action
        return {}

    @property
    def collects_outputs(self) -> bool:
        """Whether the subclass has a `dump_n_eval` of its own."""
        return type(self).dump_n_eval is not AbstractModelHelper.dump_n_eval

    @property
    def collects_labels(self) -> bool:
        """Whether `dump_n_eval` takes the labels of the step."""
        return "labels" in inspect.signature(self.dump_n_eval).parameters

    @property
    def deciding_metric(self) -> tuple[str | None, str | None]:
        """Name and mode of the metric that the flags let decide; None where they say nothing."""
        return self.config.metric, self.config.metric_mode

    # --- loss and schedule --------------------------------------------------------------------

    def calc_loss(
        self, labels: tf.Tensor, outputs: tf.Tensor, trainable_vars: Sequence[keras.Variable]
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Compute cross-entropy plus weight decay, and the accuracy.

        Normalization layers' scale and shift are not decayed, nor are quantizers' scales.

        Args:
            labels: int [batch] or [batch, 1], or one-hot [batch, classes].
            outputs: logits, float32 [batch, classes].
            trainable_vars: the variables under training.

        Returns:
            Scalar loss and {"accuracy": share of the batch that is right, in [0, 1]}.
        """
        from keras import ops

        labels = ops.convert_to_tensor(labels)
        if len(labels.shape) == len(outputs.shape) and labels.shape[-1] == 1:
            labels = ops.squeeze(labels, axis=-1)
        if len(labels.shape) == len(outputs.shape):
            losses = ops.categorical_crossentropy(labels, outputs, from_logits=True)
            labels = ops.argmax(labels, axis=-1)
        else:
            losses = ops.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
        loss = ops.mean(losses)
        loss = loss + self.weight_decay(trainable_vars)
        right = ops.equal(ops.argmax(outputs, axis=-1), ops.cast(labels, "int32"))
        return loss, {"accuracy": ops.mean(ops.cast(right, "float32"))}

    def weight_decay(self, trainable_vars: Sequence[keras.Variable]) -> Any:
        """Compute `loss_w_dcy / 2 * sum(w^2)`, without scales and shifts, see `calc_loss`."""
        from keras import ops

        if not self.config.loss_w_dcy:
            return 0.0
        decayed = [var for var in trainable_vars if var.name not in _UNDECAYED]
        return self.config.loss_w_dcy / 2 * sum(ops.sum(ops.square(var)) for var in decayed)

    def setup_lrn_rate(
        self, nb_epochs: float | None = None
    ) -> tuple[keras.optimizers.schedules.LearningRateSchedule | float, int]:
        """Set up the learning rate, piecewise constant, and the number of training steps.

        Args:
            nb_epochs: epochs to train; None for `num_epochs * nb_epochs_rat`. The decay comes at
                the same shares of the training.

        Returns:
            The schedule (a float if nothing decays) and the number of steps.
        """
        import keras

        if nb_epochs is None:
            nb_epochs = self.num_epochs * self.config.nb_epochs_rat
        num_steps = math.ceil(nb_epochs * self.steps_per_epoch)
        global_batch = self.config.batch_size * self.worker[1]
        peak = self.config.lrn_rate_init * global_batch / self.config.batch_size_norm
        # Keras keeps the old value at the boundary itself: the new one begins a step later.
        boundaries = [round(num_steps * epoch / self.num_epochs) - 1 for epoch in self.epochs_decay]
        values = [peak * rate for rate in self.decay_rates]
        if not boundaries:
            return values[0], num_steps
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values), num_steps

    def build_optimizer(
        self, lrn_rate: keras.optimizers.schedules.LearningRateSchedule | float
    ) -> keras.optimizers.Optimizer:
        """Make the optimizer that trains the network: here SGD with `momentum`.

        Args:
            lrn_rate: a schedule or a constant.

        Returns:
            A fresh optimizer; weight decay belongs to the loss, not to it.
        """
        import keras

        return keras.optimizers.SGD(lrn_rate, momentum=self.config.momentum)

    # --- facts --------------------------------------------------------------------------------

    @property
    def model_name(self) -> str:
        """The network's name: the file's, up to `_at_`."""
        return type(self).__module__.rpartition(".")[2].partition("_at_")[0]

    @property
    def dataset_name(self) -> str:
        """The data set's name: the file's, after `_at_`."""
        return type(self).__module__.rpartition(".")[2].partition("_at_")[2] or "own_data"

    @functools.cached_property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of one input, without the batch: that of the evaluation images."""
        return tuple(self.build_dataset_eval().element_spec[0].shape[1:])

    @property
    def steps_per_epoch(self) -> int:
        """Training steps per epoch."""
        return max(1, self.nb_smpls_train // (self.config.batch_size * self.worker[1]))

    @functools.cached_property
    def nb_smpls_train(self) -> int:
        """Training images per epoch; counted in batches of a finite `build_dataset_train`."""
        build: Any = type(self).build_dataset_train
        num_batches = int(getattr(build, "__wrapped__", build)(self).cardinality())
        if num_batches < 0:
            raise InputError(
                f"{type(self).__name__}: the training images cannot be counted. Return a finite "
                "dataset of known length from build_dataset_train, or define the property "
                "nb_smpls_train."
            )
        return num_batches * self.config.batch_size

    def npz_to_weights(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Translate the arrays of a `.npz` file into this network's weights.

        Args:
            arrays: as read from the file.

        Returns:
            Arrays by variable path (`layer/kernel`), in Keras' layout. Here they are taken as
            they are.
        """
        return dict(arrays)
