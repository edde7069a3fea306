"""A learner of a few lines that goes through every door of the shared parts.

Three fits: one with a term on an inner layer and an auxiliary head, one with an optimizer wrapper
and a callback, one on a network with wrapper layers, unregistered. It leaves a network for devices
of its own, and can choose bits by search over a toy table.
"""

import keras
import numpy as np
from keras import ops

from learners.base import AbstractLearner, Trained
from learners.budget import parse_budget
from learners.search.budget import ChoiceBudget
from learners.search.choices import ChoiceLayer
from learners.search.problem import BudgetedProblem
from learners.search.rewards import Score
from learners.search.stage import SearchedStage
from utils.training import Term
from utils.training.wrapped_optimizer import WrappedOptimizer

NUM_STEPS = 4
CHOICES = (2, 3, 4, 6, 8)
hooks: dict = {}  # what a test does at certain places: kill


def on_grid(kernel, num_bits):
    """Round to a symmetric grid of 2^b - 1 points; exact zeros are one of them."""
    top = ops.maximum(ops.max(ops.abs(kernel)), 1e-9) / (2 ** (num_bits - 1) - 1)
    return ops.round(kernel / top) * top


class Rounded(keras.layers.Layer):
    """Computes as the layer inside would with a rounded kernel; the gradient passes through."""

    def __init__(self, inner, num_bits, **options):
        super().__init__(**options)
        self.inner, self.num_bits = inner, num_bits

    def call(self, inputs):
        kernel = self.inner.kernel
        rounded = kernel + ops.stop_gradient(on_grid(kernel, self.num_bits) - kernel)
        if len(kernel.shape) == 2:
            outputs = ops.matmul(inputs, rounded)
        else:
            outputs = ops.conv(inputs, rounded, self.inner.strides, self.inner.padding)
        if self.inner.use_bias:
            outputs = outputs + self.inner.bias
        return self.inner.activation(outputs)


class Counting(WrappedOptimizer):
    """Halves the gradients and counts the steps in a variable."""

    def build_own(self, variables):
        self.count = self.add_variable((), dtype="int32", name="count")

    def before_step(self, gradients, variables):
        return [0.5 * gradient for gradient in gradients]

    def after_step(self, variables):
        self.count.assign_add(1)


class Hook(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        hooks.get("second fit", lambda step: None)(int(self.model.optimizer.iterations))


class BitProblem(BudgetedProblem):
    """Bits of each kernel; a candidate's loss is the sum of its table entries."""

    def __init__(self, learner):
        budget = parse_budget(str(learner.context.run.budget))
        super().__init__(budget, learner.config.searching)
        self.kernels = {layer.name: np.array(layer.kernel) for layer in kernels_of(learner.model)}
        layers = [
            ChoiceLayer(name, CHOICES, kernel.shape, kernel.size)
            for name, kernel in self.kernels.items()
        ]
        sizes = np.array([layer.num_params for layer in layers])

        def cost(values):
            return {"bits": values @ sizes, "bytes": values @ sizes / 8}

        self._choices = ChoiceBudget("bits", layers, cost, budget)

    @property
    def choices(self):
        return self._choices

    def errors(self):
        found = []
        for kernel in self.kernels.values():
            losses = [np.sum((kernel - np.array(on_grid(kernel, b))) ** 2) for b in CHOICES]
            found.append(np.maximum.accumulate(np.array(losses)[::-1])[::-1] - losses[-1])
        return found

    def score(self, values):
        hooks.get("search", lambda: None)()
        table = self.errors()
        return Score(
            None, float(sum(t[CHOICES.index(v)] for t, v in zip(table, values, strict=True)))
        )


def kernels_of(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel")]


class ThrowAwayLearner(AbstractLearner):
    """See the module."""

    def train(self):
        if self.config.wants_search() and self.context.setting is None:
            return SearchedStage(self, BitProblem(self)).run()
        model = self.saved_network() or self.model
        loss = self.default_loss(model).plus(Term("head", 0.3, ("head", "relu1"), self.head_loss))
        rate = {"schedule": 0.01, "num_steps": NUM_STEPS}
        self.fit("head", self.with_head(model), saved=model, loss=loss, **rate)
        optimizer = Counting(self.helper.build_optimizer(0.01))
        self.fit("own", model, optimizer=optimizer, callbacks=[Hook()], **rate)
        bits = self.bits(model)
        wrapped = self.wrapped(model, bits)
        rate["schedule"] = self.fine_tune_lrn_rate
        self.fit("rounded", wrapped, saved=model, **rate)
        for layer in kernels_of(model):
            layer.kernel.assign(on_grid(layer.kernel, bits[layer.name]))
        self.layers = {name: {"chosen_bits": number} for name, number in bits.items()}
        return Trained(model, deployed=wrapped)

    def bits(self, model):
        if self.context.setting is not None:
            return dict(self.context.setting.values)
        return {layer.name: self.config.num_bits for layer in kernels_of(model)}

    @staticmethod
    def with_head(model):
        pooled = keras.layers.GlobalAveragePooling2D()(model.get_layer("relu1").output)
        return keras.Model(model.input, [model.output, keras.layers.Dense(10, name="head")(pooled)])

    @staticmethod
    def head_loss(batch):
        losses = ops.sparse_categorical_crossentropy(
            batch.labels, batch.tensors["head"], from_logits=True
        )
        return ops.mean(losses) + 1e-4 * ops.mean(ops.square(batch.tensors["relu1"]))

    @staticmethod
    def wrapped(model, bits):
        def call(layer, *args, **kwargs):
            if layer.name not in bits:
                return layer(*args, **kwargs)
            return Rounded(layer, bits[layer.name], name=f"{layer.name}_rounded")(*args)

        return keras.models.clone_model(model, clone_function=lambda la: la, call_function=call)
