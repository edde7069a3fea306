"""The Python front door: `from flowpress import compress`, run from the checkout.

    report = compress(model, train_ds, eval_ds, learner="chn-pruned-rmt", prune_ratio=0.5)
    report.model.save("smaller.keras")

takes any Keras model, or the file of a network of any framework (`load_network`);
`compress(model, images, max_drop=1)` needs no labels. Every flag of the command line is a keyword,
with or without its learner's prefix (`cpr_prune_ratio`, `prune_ratio`). For a training loop of
one's own there are `FilterPruner`, `Pruning` and `Prune`. `load_fpq` and `save_fpq` read and write
packed files.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import learners
from learners.config import RunConfig
from learners.learner_config import LearnerConfig
from nets.config import GivenNetworkConfig as HelperConfig
from nets.network_file import check_network, read_network
from pipeline.folders import own_folders
from pipeline.plan import make_plan
from utils import flags
from utils.command import notes, quiet_tensorflow
from utils.errors import InputError
from utils.flag_texts import in_python
from utils.folders import fresh_folder, passing_folder
from utils.horovod_calls import launched_rank
from utils.one_voice import one_voice

if TYPE_CHECKING:
    import keras

    from learners.filters.pruner import FilterPruner
    from learners.filters.soft import Pruning
    from learners.sparsity.prune import Prune
    from nets.own_labels import LabelledArrays
    from utils.quantization.packed import load_packed as load_fpq
    from utils.quantization.packed import save_packed as save_fpq
    from utils.report import Report

__all__ = [
    "compress",
    "FilterPruner",
    "Prune",
    "Pruning",
    "load_fpq",
    "load_network",
    "save_fpq",
]

# Imported when they are asked for: they load TensorFlow.
_OBJECTS = {
    "FilterPruner": "learners.filters.pruner:FilterPruner",
    "Prune": "learners.sparsity.prune:Prune",
    "Pruning": "learners.filters.soft:Pruning",
    "load_fpq": "utils.quantization.packed:load_packed",
    "save_fpq": "utils.quantization.packed:save_packed",
}

# Flags about what compress() is given as arguments.
_NOT_OPTIONS = frozenset(
    {"learner", "model_helper", "model", "exec_mode", "pretrained_path", "debug"}
)
_OUT_DIR = "runs/compress"


def __getattr__(name: str) -> Any:
    if name not in _OBJECTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    quiet_tensorflow()
    return learners.load_class(_OBJECTS[name])


def load_network(
    path: str | os.PathLike[str],
    *,
    input_shape: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    allow_unsafe: bool = False,
) -> "keras.Model":
    """Load a trained network of any framework as a Keras model.

    Args:
        path: what `--model` takes: .keras, .h5, .onnx, .tflite, .pb, .fpq, a SavedModel's folder,
            MXNet's -symbol.json, or a PyTorch module as `net.py:make_net`.
        input_shape: sizes that the file leaves open, batch included, as `"1,3,224,224"`.
        weights: PyTorch: the state dict. MXNet: the .params file, where there are several.
        allow_unsafe: also load Python code in Keras files. It runs: only for files you trust.

    Returns:
        A plain Functional or Sequential model, uncompiled; images are NHWC.

    Raises:
        InputError: if there is no such file, or it cannot be read or converted.
    """
    quiet_tensorflow()
    with one_voice(), _words_of_python():
        check_network(os.fspath(path))
        return read_network(
            os.fspath(path),
            input_shape=input_shape,
            weights=None if weights is None else os.fspath(weights),
            allow_unsafe=allow_unsafe,
        )


def compress(
    model: "keras.Model | str | os.PathLike[str]",
    train_ds: Any,
    eval_ds: Any = None,
    *,
    learner: str | None = None,
    out_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> "Report":
    """Compress a trained network.

    Args:
        model: any Keras model, or a file of any framework, see `load_network`, whose `input_shape`
            and `weights` are options here. A compiled model's loss and metrics are used as
            `evaluate` uses them; else cross-entropy by the shape of the labels. It is not changed.
        train_ds: arrays (x, y) or (x, y, sample_weights), a tf.data.Dataset of such batches, or a
            keras.utils.PyDataset; each epoch goes through it once. Without `eval_ds` images alone,
            an array or a tf.data.Dataset of batches: no labels are needed.
        eval_ds: the same, of data that were not trained on, for the final figures. Without it the
            model's own answers are the labels, of a part of the images: accuracy is agreement.
        learner: name of the learner, or several separated by commas; without it chn-pruned-rmt,
            or auto where there are no labels.
        out_dir: folder for the resulting files and the report; a call that was killed goes on from
            what it left there. Without it each call has a new one: `runs/compress`, then
            `runs/compress-2` and so on.
        **options: any flag, e.g. `prune_ratio=0.5`, `budget="flops:0.5"`, `nb_epochs=3`.

    Returns:
        The report; its `model` is the compressed network.

    Raises:
        InputError: for options, data or a network that cannot be used.
    """
    quiet_tensorflow()
    with one_voice(), _words_of_python(), _folder(out_dir) as folder:
        usual = learners.COMPRESSOR if eval_ds is not None else "auto"
        names = learners.canonical_names(usual if learner is None else learner)
        stage_classes = [learners.config_class(name) for name in names]
        values = _flag_values({**options, "out_dir": folder}, stage_classes)
        values["learner"] = ",".join(names)
        classes = [RunConfig, HelperConfig, *stage_classes]
        configs = flags.build_all(list(dict.fromkeys(classes)), values)
        for notice in flags.notices(configs, values):
            notes.print(f"note: {in_python(notice, _specs())}", markup=False)
        run = configs[RunConfig]
        plan = make_plan(run, [configs[cls] for cls in stage_classes], starts_from_file=False)
        network = _network(model, configs[HelperConfig], run.allow_unsafe)
        from nets.keras_model_helper import KerasModelHelper

        num_held_out = 0
        if eval_ds is None:
            network, found = _without_labels(network, train_ds)
            train_ds, num_held_out, eval_ds = found.train, found.num_held_out, found.test
        helper = KerasModelHelper(
            network, train_ds, eval_ds, configs[HelperConfig], run.seed, num_held_out
        )
        from pipeline import stages  # imports TensorFlow: after the options are checked
        from pipeline.workers import joined

        if out_dir is None:  # where to go on from, should the call be stopped
            notes.print(f"note: files go to {folder}", markup=False)
        with own_folders(plan):
            workers = stages.start_workers(plan, helper)
            with joined(workers, plan, helper) as own:
                stages.seed(plan.run.seed)
                return stages.compress(own, helper, helper.build_model(), workers=workers)


def _network(model: Any, config: HelperConfig, allow_unsafe: bool) -> "keras.Model":
    """Give a model as it is, and load one that is named by its file."""
    given = {"weights": config.weights, "input_shape": config.input_shape}
    if isinstance(model, str | os.PathLike):
        check_network(os.fspath(model))
        return read_network(os.fspath(model), allow_unsafe=allow_unsafe, **given)
    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"`{name}` is about a network's file. Received: {name}={value!r} beside a "
                f"{type(model).__name__}. Leave it out, or give the file as `model`."
            )
    return model


def _without_labels(model: "keras.Model", images: Any) -> "tuple[keras.Model, LabelledArrays]":
    """Let a model's own answers be the labels; give it as it is, but for what it was compiled with.

    Raises:
        InputError: for images of another size, or a model whose outputs are no classes.
    """
    import keras

    from nets.own_labels import labelled_arrays
    from utils.graph import endings, from_keras
    from utils.graph.keras_reading import functional_model

    network = functional_model(model)
    if len(network.outputs) != 1:
        raise InputError(
            "without labels a model must have one output, whose answers are compared. "
            f"{model.name!r} has {len(network.outputs)}. Give `train_ds` and `eval_ds` of batches "
            "with labels."
        )
    plain = keras.Model(network.inputs, network.outputs[0], name=network.name)
    ending = endings(from_keras(plain, allow_unsafe=True))[0].kind
    return plain, labelled_arrays(images, plain, ending)


@contextlib.contextmanager
def _folder(out_dir: str | os.PathLike[str] | None) -> Iterator[str]:
    """Give the folder that was asked for, else a new one."""
    if out_dir is not None:
        yield str(out_dir)
        return
    if launched_rank():  # of several workers one has the new folder
        with passing_folder() as temporary:
            yield temporary
        return
    with fresh_folder(_OUT_DIR) as folder:
        yield str(folder)


@contextlib.contextmanager
def _words_of_python() -> Iterator[None]:
    """Let messages about flags say what to write in Python."""
    try:
        yield
    except InputError as error:
        error.args = (in_python(str(error), _specs()), *error.args[1:])
        raise


def _specs() -> dict[str, flags.FlagSpec]:
    """All flags that there are, by name."""
    own = [learners.config_class(name) for name in learners.LEARNERS]
    return {s.name: s for cls in (RunConfig, HelperConfig, *own) for s in flags.describe(cls)}


def _flag_values(
    options: Mapping[str, Any], stage_classes: Sequence[type[LearnerConfig]]
) -> dict[str, Any]:
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
            for prefix in ("", *(cls.PREFIX for cls in stage_classes))
            if prefix + option in known
        ]
        if not prefixed:
            raise InputError(f"compress() has no option {option!r}. {flags.nearest(option, known)}")
        spec = known[prefixed[0]]
        text = spec.type is str and value is not None
        values[spec.name] = str(value) if text else value
    return values
