"""The Python front door: `from flowpress import compress`, run from the checkout.

    report = compress(model, train_ds, eval_ds, learner="chn-pruned-rmt", prune_ratio=0.5)
    report.model.save("smaller.keras")

takes any Functional or Sequential Keras model. Every flag of the command line is a keyword, with or
without its learner's prefix (`cpr_prune_ratio`, `prune_ratio`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import learners
from learners.config import RunConfig
from learners.plan import make_plan
from nets.abstract_model_helper import AbstractModelHelper
from nets.config import HelperConfig
from utils import flags
from utils.command import quiet_tensorflow
from utils.errors import InputError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from utils.report import Report

__all__ = ["compress"]


def compress(
    model: "keras.Model",
    train_ds: "tf.data.Dataset",
    eval_ds: "tf.data.Dataset",
    *,
    learner: str = "chn-pruned-rmt",
    out_dir: str = "runs/compress",
    **options: Any,
) -> "Report":
    """Compress a trained Keras model.

    Args:
        model: Functional or Sequential. Compiled, its loss and metrics are used; else cross-entropy
            by the shape of the labels. It is not changed.
        train_ds: finite batches (inputs, labels); each epoch goes through it once.
        eval_ds: finite batches (inputs, labels) that were not trained on, for the final figures.
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
    values = _flag_values(
        {"learner": ",".join(names), "out_dir": out_dir, **options}, stage_classes
    )
    run = flags.build(RunConfig, _only(RunConfig, values) | {"pretrained_path": None})
    helper_config = flags.build(HelperConfig, _only(HelperConfig, values))
    stage_configs = [flags.build(cls, _only(cls, values)) for cls in stage_classes]
    helper = _KerasHelper(model, train_ds, eval_ds, helper_config, seed=run.seed)
    plan = make_plan(run, stage_configs, starts_from_file=False)
    from learners import pipeline  # imports TensorFlow: after the options are checked

    return pipeline.compress(plan, helper, helper.build_model(), command=())


def _flag_values(options: Mapping[str, Any], stage_classes: Sequence[type]) -> dict[str, Any]:
    """Turn keyword names into flag names."""
    known = {
        spec.name: spec
        for cls in (RunConfig, HelperConfig, *stage_classes)
        for spec in flags.describe(cls)
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


class _KerasHelper(AbstractModelHelper):
    """A ModelHelper around a model and data sets that exist already."""

    def __init__(
        self,
        model: "keras.Model",
        train_ds: "tf.data.Dataset",
        eval_ds: "tf.data.Dataset",
        config: HelperConfig,
        seed: int,
    ) -> None:
        super().__init__(config, seed)
        self._model = model
        self._train_ds = train_ds
        self._eval_ds = eval_ds
        for name, dataset in (("train_ds", train_ds), ("eval_ds", eval_ds)):
            _check_dataset(name, dataset)
        self._loss = _loss_of(model, eval_ds)

    @property
    def model_name(self) -> str:
        """The model's own name."""
        return self._model.name

    def build_model(self) -> "keras.Model":
        """Copy the model, so that the caller's stays as it is."""
        import keras

        copy = keras.models.clone_model(self._model)
        copy.set_weights(self._model.get_weights())
        return copy

    # The short form that helpers may have; the base class does the rest.
    def build_dataset_train(self) -> "tf.data.Dataset":  # type: ignore[override]
        """Give the training batches; the base class repeats them and starts anywhere."""
        return self._train_ds

    def build_dataset_eval(self) -> "tf.data.Dataset":
        """Give the held-out batches."""
        return self._eval_ds

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one pass through the training data."""
        return int(self._train_ds.cardinality())

    @property
    def nb_smpls_train(self) -> int:
        """Images of one pass, the last batch counted as full."""
        shape = next(iter(self._train_ds.take(1)))[1].shape
        return self.steps_per_epoch * int(shape[0])

    def calc_loss(
        self, labels: Any, outputs: Any, trainable_vars: Sequence[Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Compute the compiled loss, and the accuracy where classes are predicted."""
        from keras import ops

        loss, classes = self._loss(labels, outputs)
        if self.config.loss_w_dcy:
            kernels = [v for v in trainable_vars if v.name not in ("gamma", "beta", "bias")]
            loss += self.config.loss_w_dcy / 2 * sum(ops.sum(ops.square(v)) for v in kernels)
        if classes is None:
            return loss, {}
        predicted = ops.argmax(outputs, axis=-1)
        right = ops.equal(ops.cast(predicted, "int32"), ops.cast(classes, "int32"))
        return loss, {"accuracy": ops.mean(ops.cast(right, "float32"))}


def _check_dataset(name: str, dataset: Any) -> None:
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        raise InputError(
            f"`{name}` must be a tf.data.Dataset of batches (inputs, labels). Received: "
            f"{type(dataset).__name__}. Use tf.data.Dataset.from_tensor_slices((x, y)).batch(128)."
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise InputError(f"`{name}` must give pairs (inputs, labels). Received: {spec}.")
    if int(dataset.cardinality()) < 1:
        raise InputError(
            f"`{name}` must have a known, finite length. Add .apply(tf.data.experimental."
            "assert_cardinality(number_of_batches)) and no .repeat()."
        )


def _loss_of(
    model: "keras.Model", eval_ds: "tf.data.Dataset"
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Find the loss: labels, outputs -> (scalar, class indices or None)."""
    import keras
    from keras import ops

    labels = eval_ds.element_spec[1]
    outputs = model.outputs
    if len(outputs) != 1 or not hasattr(labels, "shape"):
        raise InputError(
            f"compress() needs a model with one output. Received {len(outputs)}: write a "
            "ModelHelper with your own calc_loss, see docs/self_defined_models.md."
        )
    num_outputs = outputs[0].shape[-1]
    one_hot = labels.shape.rank == len(outputs[0].shape) and labels.shape[-1] == num_outputs
    compiled = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    function: Any = keras.losses.get(compiled) if compiled is not None else None
    crossentropy = compiled is None or "crossentropy" in str(
        getattr(function, "name", getattr(function, "__name__", ""))
    )
    if compiled is None:
        if num_outputs is None or num_outputs < 2 or (not one_hot and not labels.dtype.is_integer):
            raise InputError(
                "compress() cannot tell the loss: the model is not compiled, and its labels "
                f"{labels} are neither classes nor one-hot. Call model.compile(loss=…) first."
            )
        kind = "CategoricalCrossentropy" if one_hot else "SparseCategoricalCrossentropy"
        function = getattr(keras.losses, kind)(from_logits=not _ends_in_softmax(model))

    def loss(y: Any, predicted: Any) -> tuple[Any, Any]:
        value = ops.mean(function(y, predicted))
        if not crossentropy or num_outputs is None or num_outputs < 2:
            return value, None
        return value, ops.argmax(y, axis=-1) if one_hot else ops.reshape(y, [-1])

    return loss


def _ends_in_softmax(model: "keras.Model") -> bool:
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    return type(last).__name__ == "Softmax" or getattr(activation, "__name__", "") == "softmax"
