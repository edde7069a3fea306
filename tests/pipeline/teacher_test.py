import keras
import pytest
from keras import layers

from pipeline import stages, teacher
from pipeline.teacher import load_teacher
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
    loaded = load_teacher(plan_in(tmp_path), network())
    assert loaded.count_params() == saved.count_params()
    assert load_teacher(plan_in(tmp_path, given=False), network()) is None


def test_an_open_size_fits_any(tmp_path):
    network(size=None).save(tmp_path / "teacher.keras")
    assert load_teacher(plan_in(tmp_path), network()) is not None


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
        load_teacher(plan_in(tmp_path), network())


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
