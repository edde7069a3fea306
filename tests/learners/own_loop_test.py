import keras
import numpy as np

from learners.own_loop import OwnLoop


class Noting(OwnLoop):
    def __init__(self, model):
        super().__init__(model)
        self.calls = []

    def after_step(self, number):
        self.calls.append(number)

    def end_epoch(self):
        self.calls.append("epoch")


def test_the_callback_tells_of_steps_and_epochs():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    loop = Noting(model)
    model.fit(np.zeros((6, 2)), np.zeros(6), batch_size=3, epochs=2, verbose=0,
              callbacks=[loop.callback()])  # fmt: skip
    assert loop.calls == [1, 2, "epoch", 3, 4, "epoch"]
    assert loop.num_steps == 4
    assert [int(v.numpy()) for v in loop.variables] == [4]
    loop.step()
    assert loop.calls[-1] == loop.num_steps == 5
