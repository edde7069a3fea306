"""Flags every ModelHelper has; a helper changes defaults, or adds flags, in a subclass."""

import dataclasses

from datasets.config import DataConfig
from utils.flags import flag, group


@dataclasses.dataclass(frozen=True, kw_only=True)
class HelperConfig:
    """Batch sizes, learning rate and loss, and the flags about data."""

    batch_size: int = flag(128, "Training images per step and worker.", lower=1, upper=1_000_000)
    batch_size_eval: int = flag(
        100, "Images per evaluation step.", lower=1, upper=1_000_000, resumable=True
    )
    nb_epochs_rat: float = flag(
        1.0,
        "Training epochs as a multiple of the helper's own number; --nb_epochs sets them outright.",
        lower=0.0,
        upper=10_000.0,
    )
    lrn_rate_init: float = flag(
        0.1,
        "Initial learning rate at a batch of `batch_size_norm` images; it grows in proportion "
        "to the batch.",
        lower=0.0,
        lower_open=True,
    )
    batch_size_norm: float = flag(
        128.0,
        "Batch size for which `lrn_rate_init` is meant.",
        lower=0.0,
        upper=1e6,
        lower_open=True,
    )
    momentum: float = flag(0.9, "Momentum of SGD.", lower=0.0, upper=1.0, upper_open=True)
    loss_w_dcy: float = flag(
        2e-4, "Weight of the weight-decay term sum(w^2) / 2 in the loss.", lower=0.0
    )
    metric: str | None = flag(
        None,
        "The metric that decides: the gap of exported files and the rewards of a search go by it. "
        "Not given: the accuracy, else the first metric whose direction is known, else the loss.",
    )
    metric_mode: str | None = flag(
        None,
        "Whether the largest or the smallest value of `metric` is best, where that is not known.",
        choices=("max", "min"),
    )
    data: DataConfig = group(DataConfig)

    @property
    def weights_file(self) -> str | None:
        """The file whose weights the helper's network has already; None where it is built here."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasModelConfig(HelperConfig):
    """The same for a Keras model with a loss of its own: nothing is added that nobody asked for."""

    loss_w_dcy: float = flag(
        0.0, "Weight of a weight-decay term sum(w^2) / 2 on top of the loss.", lower=0.0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenDataConfig(KerasModelConfig):
    """The same for data that lie somewhere, with what reads them."""

    data_source: str | None = flag(
        None,
        "The data: a folder with a sub-folder of images per class (or train/ and val/ with such), "
        "a folder of images without labels, a .npz, a .csv, a folder of idx or TFRecord files, a "
        ".py file with train_data() and test_data(), or the name of a built-in data set.",
        name="data",
    )
    scale: str | None = flag(
        None,
        "What the network sees of an image's values: in [0, 1], [0, 255] or [-1, 1], by ImageNet's "
        "mean and deviation, as Caffe does, by the training images' own mean and deviation, or as "
        "they are. Without it: by the network's first layers and its accuracy.",
        choices=("0..1", "0..255", "-1..1", "imagenet", "caffe", "standard", "raw"),
    )
    label_column: str | None = flag(
        None, "Column of a .csv with the labels. Not given: label, class, target or y."
    )
    batch_size: int = flag(
        64, "Training samples per step and worker, at most all.", lower=1, upper=1_000_000
    )
    lrn_rate_init: float = flag(
        0.01, "Initial learning rate of full-prec.", lower=0.0, lower_open=True
    )
    batch_size_norm: float = flag(64.0, "Batch size for `lrn_rate_init`.", lower=1.0, upper=1e6)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkFileConfig:
    """The file of a network of any framework, and what such a file does not say."""

    model: str | None = flag(
        None,
        "The trained network: .keras, .h5, .onnx, .tflite, .pb, a SavedModel's folder, MXNet's "
        "-symbol.json, a PyTorch module as net.py:make_net; --data says on what. Without --learner "
        "its channels are cut, or what --budget speaks of.",
        path=True,
    )
    weights: str | None = flag(
        None,
        "PyTorch: the state dict of the module. MXNet: the .params file, where there are several.",
        path=True,
    )
    input_shape: str | None = flag(
        None, "Sizes that the network's file leaves open, batch included, e.g. 1,3,224,224."
    )

    @property
    def weights_file(self) -> str | None:
        """The network's own file."""
        return self.model


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkOnDataConfig(NetworkFileConfig, GivenDataConfig):
    """The same for the file of a network and data that lie somewhere."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenNetworkConfig(NetworkFileConfig, KerasModelConfig):
    """The same for a network and data that Python gives."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportedConfig(GivenDataConfig):
    """The same for a graph in two files, as `tools/conversion/compile_model.py` writes it."""

    graph: str | None = flag(
        None, "The network's description: IR_for_reconstruct_graph.json.", path=True
    )
    params: str | None = flag(None, "Its arrays: IR_for_reconstruct_params.npz.", path=True)

    @property
    def weights_file(self) -> str | None:
        """The graph's arrays."""
        return self.params
