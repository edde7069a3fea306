import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.sparsity.progression import PROGRESSIONS
from learners.sparsity.prune import Prune
from tests.learners import networks
from utils.errors import InputError

IMAGES = networks.images(40)
LABELS = np.arange(40) % 5


def compiled(model):
    model.compile(
        optimizer=keras.optimizers.SGD(0.02, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def kernel(model, layer):
    return np.asarray(model.get_layer(layer).kernel)


def test_weights_go_by_the_progression_and_stay_zero():
    model = compiled(networks.residual())
    prune = Prune(
        model,
        {"stem": 0, "b*": 0.5, "*": 0.9375},
        pretrain_step=1,
        sparse_step=4,
        frequency=2,
        progression="geometric",
    )
    zeros, gone, back = [], [], []

    class Noting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found = {name: kernel(model, name) == 0 for name in ("stem", "a1", "b2", "head")}
            zeros.append({name: int(mask.sum()) for name, mask in found.items()})
            back.extend(np.any(was & ~found["a1"]) for was in gone)
            gone.append(found["a1"])

    callbacks = [prune.callback(), Noting()]
    model.fit(IMAGES, LABELS, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
    sizes = {name: kernel(model, name).size for name in zeros[0]}
    assert zeros[1] == zeros[0] == dict.fromkeys(sizes, 0)
    for number, share in ((2, 0.5), (3, 0.5), (4, 1.0), (9, 1.0)):
        for name, ratio in {"stem": 0.0, "a1": 0.9375, "b2": 0.5, "head": 0.9375}.items():
            by_then = PROGRESSIONS["geometric"](ratio, share)
            assert zeros[number][name] == round(by_then * sizes[name]), (number, name)
    assert len(back) and not any(back)  # what is gone stays gone
    rates = prune.sparse_rates()
    assert rates.layers["a1"] == 0.9375 and "stem" not in rates.layers
    assert rates.of_all < rates.of_pruned < 0.9375
    assert sum(rates.sizes.values()) == sum(w.size for w in model.get_weights() if w.ndim > 1)


def test_the_smallest_go_first():
    model = networks.vgg()
    before = kernel(model, "conv2")
    prune = Prune(model, {"conv2": 0.7})
    prune.step()
    threshold = np.sort(np.abs(before), axis=None)[round(0.7 * before.size)]
    wanted = np.where(np.abs(before) < threshold, 0.0, before)
    np.testing.assert_array_equal(kernel(model, "conv2"), wanted)
    assert np.all(kernel(model, "conv1")) and prune.ratios == {"conv2": 0.7}


def test_gradients_in_a_loop_written_by_hand():
    model = networks.vgg()
    optimizer = keras.optimizers.SGD(0.0)
    prune = Prune(model, 0.5, criterion="gradient", sparse_step=3, frequency=3)
    place = [v.path for v in model.trainable_variables].index(model.get_layer("conv2").kernel.path)
    total, before = 0.0, kernel(model, "conv2")
    for start in (0, 8, 16):
        images, labels = IMAGES[start : start + 8], LABELS[start : start + 8]
        with tf.GradientTape() as tape:
            outputs = model(images, training=False)
            loss = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        prune.prepare(gradients)
        optimizer.apply(gradients, model.trainable_variables)
        prune.step()
        total = total + np.asarray(gradients[place])
    scores = np.abs(before * total)
    cut = np.median(scores)
    assert np.mean((kernel(model, "conv2") != 0) == (scores > cut)) > 0.999
    prune.prepare()  # all is done: nothing is needed any more
    with pytest.raises(InputError, match=r"^the criterion looks at gradients, which callbacks"):
        prune.callback()


def test_gradients_that_are_missing():
    prune = Prune(networks.vgg(), criterion="gradient")
    with pytest.raises(InputError, match=r"^the criterion needs gradients: call prepare\(grad"):
        prune.prepare()
    with pytest.raises(InputError, match=r"has seen no gradients: call prepare\(gradients\)"):
        prune.step()


def test_patterns():
    model = networks.vgg()
    prune = Prune(model, {"conv[23]": 0.5}, granularity="2:4")
    prune.step()
    groups = kernel(model, "conv2").reshape(3, 3, 2, 4, -1)  # four neighbouring input channels
    assert np.all(np.count_nonzero(groups, axis=3) == 2)
    with pytest.raises(InputError, match=r"^`granularity` 2:4 does not fit 'conv1': 3 input chan"):
        Prune(model, granularity="2:4")
    with pytest.raises(InputError, match=r"'conv2': it removes 0.5, the ratio is 0.9\. Give"):
        Prune(model, {"conv2": 0.9}, granularity="2:4")


def test_training_that_is_resumed_goes_on():
    first = networks.vgg()
    prune = Prune(first, 0.8, sparse_step=4, frequency=2)
    for _ in range(2):
        prune.step()
    second = networks.vgg()
    other = Prune(second, 0.8, sparse_step=4, frequency=2)
    second.set_weights(first.get_weights())
    for mine, its in zip(other.variables, prune.variables, strict=True):
        mine.assign(its)
    second.get_layer("conv2").kernel.assign_add(np.ones_like(kernel(second, "conv2")))
    other.step()  # not due: what is gone is held at zero
    np.testing.assert_array_equal(kernel(second, "conv2") == 0, kernel(first, "conv2") == 0)
    for each in (prune, prune, other):
        each.step()
    assert prune.sparse_rates().layers["conv2"] == pytest.approx(0.8, abs=1e-3)
    assert other.num_steps == prune.num_steps == 4


def test_sums_of_gradients_are_resumed_too():
    first, second = networks.vgg(), networks.vgg()
    second.set_weights(first.get_weights())
    options = {"criterion": "gradient", "sparse_step": 2, "frequency": 2}
    prune, other = (Prune(model, {"conv2": 0.5}, **options) for model in (first, second))
    rng = np.random.default_rng(0)
    prune.prepare([rng.normal(size=v.shape) for v in first.trainable_variables])
    prune.step()
    for mine, its in zip(other.variables, prune.variables, strict=True):
        mine.assign(its)
    for each in (prune, other):  # no further gradients
        each.step()
    np.testing.assert_array_equal(kernel(first, "conv2"), kernel(second, "conv2"))
    assert prune.sparse_rates().layers["conv2"] == 0.5


def test_what_is_gone_stays_gone_where_all_scores_are_equal():
    model = networks.vgg()
    prune = Prune(model, {"conv2": 0.5}, criterion="gradient", sparse_step=2, progression="linear")
    found = []
    for slope in (1.0, 0.0):
        prune.prepare([np.full(v.shape, slope) for v in model.trainable_variables])
        prune.step()
        found.append(prune.masks()["conv2", "kernel"])
    assert [mask.mean() for mask in found] == [0.75, 0.5]
    assert not (found[1] & ~found[0]).any()


def test_a_file(tmp_path):
    path = tmp_path / "prune.yaml"
    path.write_text("conv1: 0\n'*': 0.9\n")
    prune = Prune(networks.vgg(), path)
    assert "conv1" not in prune.ratios and set(prune.ratios.values()) == {0.9}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prune_dict": {"conw2": 0.5}}, r"^`prune_dict`: no layer .* 'conw2'.*Did you mean 'con"),
        ({"prune_dict": 1.0}, r"ratio of '\*' must be .* in \[0, 1\)\. Received: 1\.0"),
        ({"prune_dict": {"*": 0}}, r"^`prune_dict` removes nothing\. Give a layer"),
        ({"prune_dict": {}}, r"^`prune_dict` must be layers with their ratios\. Received: nothing"),
        ({"prune_dict": True}, r"must be layers with their ratios\. Received: bool"),
        ({"prune_dict": "none.yaml"}, r"^`prune_dict`: none.yaml: the file cannot be read"),
        ({"criterion": "magnetude"}, r"^`criterion`: unknown 'magnetude'\. Did you mean 'magnit"),
        ({"progression": "cubik"}, r"^`progression`: unknown 'cubik'\. Did you mean 'cubic'"),
        ({"granularity": "4:2"}, r"^`granularity` must be element, N:M .* Received: '4:2'\.$"),
        ({"frequency": 5, "sparse_step": 4}, r"`frequency` in 1 to `sparse_step`\. Received: "),
        ({"pretrain_step": -1}, r"`pretrain_step` must be at least 0"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Prune(networks.vgg(), **arguments)


def test_weights_that_are_not_finite_are_refused():
    model = networks.vgg()
    prune = Prune(model, {"conv2": 0.5})
    model.get_layer("conv2").kernel.assign(np.full_like(kernel(model, "conv2"), np.nan))
    with pytest.raises(InputError, match=r"^the weights of 'conv2' or their scores are not finite"):
        prune.step()


def test_what_goes_by_hand_stays_zero():
    """Before the first step at which weights go, too."""
    model = networks.residual()
    prune = Prune(model, 0.5, pretrain_step=100)
    prune.prune()
    for variable in model.trainable_variables:
        variable.assign_add(keras.ops.ones(variable.shape))
    prune.step()
    assert prune.sparse_rates().of_pruned == pytest.approx(0.5, abs=0.01)
