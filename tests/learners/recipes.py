"""A toy network with data and recipes of a few lines, for the tests of what learners share."""

import pathlib
from typing import Any

import keras
import tensorflow as tf

from learners.base import AbstractLearner, Trained
from learners.context import StageContext
from nets.abstract_model_helper import AbstractModelHelper
from nets.config import HelperConfig
from tests.learners.runs import make_run

STEPS_PER_EPOCH = 4
RATE = 0.05


class ToyHelper(AbstractModelHelper):
    """Vectors of 6 numbers, 3 classes; a batch depends on its number only."""

    def forward(self, inputs):
        x = keras.layers.Dense(8, name="fc1")(inputs)
        x = keras.layers.ReLU(name="relu")(x)
        x = keras.layers.Dropout(0.2, name="dropout")(x)
        return keras.layers.Dense(3, name="fc2")(x)

    def build_dataset_train(self, enbl_trn_val_split=False, *, first_step=0):
        def batch(index):
            labels = tf.random.stateless_uniform((8,), [self.seed, index], 0, 3, tf.int64)
            noise = tf.random.stateless_normal((8, 6), [self.seed + 1, index])
            return noise + tf.cast(labels, tf.float32)[:, None], labels

        return tf.data.Dataset.counter(first_step).map(batch)

    def build_dataset_eval(self):
        return self.build_dataset_train(first_step=1000).take(2)

    @property
    def nb_smpls_train(self):
        return STEPS_PER_EPOCH * self.config.batch_size


def toy_helper() -> ToyHelper:
    return ToyHelper(HelperConfig(batch_size=8), seed=1)


def toy_network() -> keras.Model:
    keras.utils.set_random_seed(3)
    return toy_helper().build_model()


def toy_learner(
    kind: type[AbstractLearner], folder: pathlib.Path, model: keras.Model, **values: Any
) -> AbstractLearner:
    """Make a learner of a network; `values` are flags or, by name, fields of the context."""
    fields = {name: values.pop(name) for name in ("teacher",) if name in values}
    plan, _ = make_run("chn-pruned-rmt", folder, **values)
    context = StageContext(
        run=plan.run,
        stage=plan.stages[0],
        helper=toy_helper(),
        log_dir=plan.log_dir,
        **fields,
    )
    return kind(context, model)


def shifted(model: keras.Model, by: float = 1.0) -> keras.Model:
    """Do something to a network between two fits, with numbers drawn from the global generator."""
    kernel = model.get_layer("fc2").kernel
    kernel.assign_add(by * 0.1 * keras.random.normal(kernel.shape))
    return model


class Thrice(AbstractLearner):
    """Three fits, two of them in a loop, with work between them that draws random numbers."""

    callbacks = ()

    def train(self):
        model = self.saved_network()
        if model is None:
            with self.timed("choice"):
                model = shifted(self.model)
            self.layers = {"fc2": {"error": 0.25}}
        self.fit("warm_up", model, schedule=RATE, num_steps=6, callbacks=self.callbacks)
        for number in range(2):
            shifted(model)
            self.fit(
                f"round_{number}/all",
                model,
                schedule=keras.optimizers.schedules.CosineDecay(RATE, 7),
                num_steps=7,
                callbacks=self.callbacks,
            )
        return Trained(model)
