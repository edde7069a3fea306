import keras
import pytest
from keras import layers

from pipeline import stages, teacher
from pipeline.teacher import load_teachers
from tests.learners.runs import make_run
from utils.errors import InputError


def network(size=8, classes=10, channels=1):
    inputs = keras.Input((size, size, channels))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(inputs))
    return keras.Model(inputs, layers.Dense(classes)(x))


def plan_in(folder, given=True, learner="chn-pruned-rmt", **values):
    own = {"save_path_dst": str(folder / "teacher.keras")} if given else {}
    return make_run(learner, folder / "out", enbl_dst=True, **own, **values)[0]


def test_the_file(tmp_path):
    saved = network()
    saved.save(tmp_path / "teacher.keras")
    (loaded,) = load_teachers(plan_in(tmp_path), network())
    assert loaded.count_params() == saved.count_params()
    assert load_teachers(plan_in(tmp_path, given=False), network()) == ()


def test_an_open_size_fits_any(tmp_path):
    network(size=None).save(tmp_path / "teacher.keras")
    assert len(load_teachers(plan_in(tmp_path), network())) == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": 7}, r"has output shapes \[\(7,\)\], the network \[\(10,\)\]. Give a teacher"),
        ({"size": 9}, r"has input shapes \[\(9, 9, 1\)\], the network \[\(8, 8, 1\)\]"),
        ({"channels": 3}, r"has input shapes \[\(8, 8, 3\)\]"),
    ],
)
def test_another_one_is_refused(other, message, tmp_path):
    network(**other).save(tmp_path / "teacher.keras")
    with pytest.raises(InputError, match=message):
        load_teachers(plan_in(tmp_path), network())


def test_a_run_loads_it_once(tmp_path, monkeypatch):
    network().save(tmp_path / "teacher.keras")
    loaded, load = [], teacher.load_keras_model

    def counted(path, **options):
        loaded.append(path)
        return load(path, **options)

    monkeypatch.setattr(teacher, "load_keras_model", counted)
    plan = plan_in(tmp_path, learner="full-prec,full-prec", nb_epochs="0")
    helper = make_run("full-prec", tmp_path / "out")[1]
    model = stages.initial_network(plan, helper)
    stages.compress(plan, helper, model)
    assert loaded == [tmp_path / "teacher.keras"]


def several(folder, **values):
    paths = f"{folder}/teacher.keras,{folder}/other.keras"
    return plan_in(folder, given=False, teacher_path=paths, **values)


def test_several_in_the_order_of_the_flag(tmp_path):
    network(channels=1).save(tmp_path / "teacher.keras")
    inputs = keras.Input((8, 8, 1))
    dense = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(inputs)))
    dense.save(tmp_path / "other.keras")
    first, second = load_teachers(several(tmp_path), network())
    assert len(first.layers) > len(second.layers) == 3


def test_the_one_that_does_not_fit_is_named(tmp_path):
    network().save(tmp_path / "teacher.keras")
    network(classes=7).save(tmp_path / "other.keras")
    message = r"`teacher_path`: the teacher '.*other.keras' has output shapes \[\(7,\)\], the netw"
    with pytest.raises(InputError, match=message):
        load_teachers(several(tmp_path), network())


def test_the_one_of_a_document_is_checked_too(tmp_path):
    network(classes=7).save(tmp_path / "teacher.keras")
    document = tmp_path / "prune.yaml"
    document.write_text(
        "pruners: {p: {ratio: 0.1}}\n"
        "prune_schedulers: [{pruner: {func_name: p}, epochs: [0]}]\n"
        f"distill: {{alpha: 0.5, teacher_path: {tmp_path}/teacher.keras}}\n"
    )
    plan = make_run("filter-pruned", tmp_path / "out", fp_config=str(document))[0]
    message = r"--fp_config=.*: `distill`: the teacher '.*' has output shapes \[\(7,\)\], the netw"
    with pytest.raises(InputError, match=message):
        load_teachers(plan, network())


def test_code_in_a_file_is_not_run_unasked(tmp_path):
    inputs = keras.Input((8, 8, 1))
    x = layers.Lambda(lambda images: images * 2.0)(inputs)
    keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x))).save(tmp_path / "teacher.keras")
    with pytest.raises(InputError, match="Python code"):
        load_teachers(plan_in(tmp_path), network())
    assert len(load_teachers(plan_in(tmp_path, allow_unsafe=True), network())) == 1


def named(width, size=8):
    inputs = keras.Input((size, size, 1))
    x = layers.Conv2D(width, 3, padding="same", name="first")(inputs)
    x = layers.Conv2D(width, 3, name="second")(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="net")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("frist:first", r"the network 'net' has no layer 'frist' .* Did you mean 'first'"),
        ("first:secnd", r"the teacher 'net' has no layer 'secnd' .* Did you mean 'second'"),
        (
            "first:second",
            r"'first' gives features of shape \(8, 8, 2\), 'second' of the teacher \(6",
        ),
    ],
)
def test_layers_are_looked_up_before_training(pairs, message, tmp_path):
    named(5).save(tmp_path / "teacher.keras")
    flags = {"loss_w_hint": 1.0, "dst_layers": pairs}
    with pytest.raises(InputError, match=message):
        load_teachers(plan_in(tmp_path, **flags), named(2))
    with pytest.raises(InputError, match=r"has no layer|gives features"):
        load_teachers(plan_in(tmp_path, given=False, **flags), named(2))  # it teaches itself
