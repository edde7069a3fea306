"""A helper of random images, for networks that need one to be scored."""

import numpy as np
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from tests.learners import networks


class TinyHelper(AbstractModelHelper):
    """Random images; cannot hold any out."""

    def build_dataset_train(self):
        images = networks.images(64)
        labels = np.arange(64) % 5
        return tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)

    def build_dataset_eval(self):
        return self.build_dataset_train().take(1)

    def calc_loss(self, labels, outputs, trainable_vars):
        if len(outputs.shape) == 4:  # of the network that gives a map
            outputs = tf.reduce_mean(outputs, axis=(1, 2))
            labels = labels % outputs.shape[-1]
        return super().calc_loss(labels, outputs, trainable_vars)
