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
from utils.training import Term
from utils.training.wrapped_optimizer import WrappedOptimizer

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
    fields = {name: values.pop(name) for name in ("teacher", "fresh") if name in values}
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


class Halving(WrappedOptimizer):
    """Makes steps half as large, and counts them in a variable."""

    def build_own(self, variables):
        self.count = self.add_variable((), dtype="int32", name="count")

    def before_step(self, gradients, variables):
        return [0.5 * gradient for gradient in gradients]

    def after_step(self, variables):
        self.count.assign_add(1)


class Doubled(keras.layers.Layer):
    """A wrapper of a learner's own, not registered, with a trained variable beside the layer's."""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner

    def build(self, shape):
        self.offset = self.add_weight(name="offset", initializer="zeros")

    def call(self, inputs):
        return self.inner(inputs) + self.offset


class Doors(AbstractLearner):
    """A fit with a term on an auxiliary head, one with an own optimizer, one with a wrapper."""

    callbacks = ()

    def train(self):
        model = self.saved_network() or self.model
        self.fit(
            "head",
            self.with_head(model),
            saved=model,
            schedule=RATE,
            num_steps=5,
            loss=self.default_loss(model).plus(Term("head", 0.5, ("head",), self.head_loss)),
            callbacks=self.callbacks,
        )
        shifted(model)
        optimizer = Halving(self.helper.build_optimizer(RATE))
        self.fit(
            "own",
            model,
            schedule=RATE,
            num_steps=5,
            optimizer=optimizer,
            callbacks=self.callbacks,
        )
        self.count = optimizer.count
        x = Doubled(model.get_layer("fc1"), name="doubled")(model.input)
        for name in ("relu", "dropout", "fc2"):
            x = model.get_layer(name)(x)
        wrapped = keras.Model(model.input, x)
        self.fit(
            "wrapped",
            wrapped,
            saved=model,
            schedule=RATE,
            num_steps=5,
            callbacks=self.callbacks,
        )
        self.offset = wrapped.get_layer("doubled").offset
        return Trained(model, deployed=wrapped)

    @staticmethod
    def with_head(model):
        head = keras.layers.Dense(3, name="head")(model.get_layer("relu").output)
        return keras.Model(model.input, [model.output, head])

    @staticmethod
    def head_loss(batch):
        losses = keras.ops.sparse_categorical_crossentropy(
            batch.labels, batch.tensors["head"], from_logits=True
        )
        return keras.ops.mean(losses)
