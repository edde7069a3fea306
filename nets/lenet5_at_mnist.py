"""LeNet-5 on MNIST, 431 thousand parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasets import load_dataset
from nets.classification_helper import ClassificationHelper
from nets.lenet300_at_mnist import LenetAtMnistConfig

if TYPE_CHECKING:
    import keras


class ModelHelper(ClassificationHelper):
    """Convolutions of 20 and 50 channels, a dense layer of 500."""

    config_class = LenetAtMnistConfig
    dataset = load_dataset("mnist")
    num_epochs = 20
    epochs_decay = (10, 16)
    decay_rates = (1.0, 0.1, 0.01)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import lenet

        classes = self.dataset.INFO.num_classes
        return lenet.build(inputs, classes, conv_widths=(20, 50), dense_widths=(500,))
