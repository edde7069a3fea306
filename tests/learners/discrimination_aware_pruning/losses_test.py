import keras
import numpy as np
import pytest

from learners.discrimination_aware_pruning.heads import head_loss, with_head
from learners.discrimination_aware_pruning.losses import classifying_loss, head_term, own_loss
from tests.learners.recipes import toy_helper, toy_network
from utils.graph import Ref, from_keras
from utils.training import TermInputs


@pytest.fixture(scope="module")
def toy():
    model, helper = toy_network(), toy_helper()
    batch = next(iter(helper.build_dataset_train()))
    return model, helper, *batch


def test_the_last_stage_has_the_networks_own_loss(toy):
    model, helper, inputs, labels = toy
    loss = own_loss(from_keras(model), helper)
    assert loss.refs == (Ref("fc2"),)
    variables = model.trainable_variables[:1]
    outputs = model(inputs, training=False)
    wanted = helper.calc_loss(labels, outputs, variables)[0]
    assert float(loss.compute(labels, [outputs], variables)) == pytest.approx(float(wanted))


def test_outputs_come_in_the_structure_that_the_helper_knows(toy):
    inputs = keras.Input((6,))
    pair = {
        "b": keras.layers.Dense(2, name="b")(inputs),
        "a": keras.layers.Dense(3, name="a")(inputs),
    }
    graph = from_keras(keras.Model(inputs, pair))

    class Helper:
        @staticmethod
        def calc_loss(labels, outputs, variables):
            return outputs["a"] - outputs["b"] + labels, {}

    loss = own_loss(graph, Helper())
    values = {Ref("a"): 10.0, Ref("b"): 3.0}
    assert loss.compute(1.0, [values[ref] for ref in loss.refs], []) == 8.0


def test_other_stages_have_their_heads_in_training_and_in_the_choice(toy):
    model, helper, inputs, labels = toy
    hidden = model.get_layer("fc1").output
    head = with_head(model, hidden, 1, 3, seed=0)
    seen = np.array(keras.Model(model.input, hidden)(inputs))
    choice = classifying_loss(Ref("fc1"), head, helper)
    assert choice.refs == (Ref("fc1"),)
    wanted = head_loss(labels, head.part(seen, training=False))
    assert float(choice.compute(labels, [seen], [])) == pytest.approx(float(wanted))
    term = head_term(head, helper)
    assert term.needs == ("discrimination",)
    logits = head.model(inputs, training=True)[1]
    batch = TermInputs(
        inputs=inputs, labels=labels, outputs=None, tensors={"discrimination": logits}
    )
    assert float(term.compute(batch)) == pytest.approx(float(head_loss(labels, logits)))
