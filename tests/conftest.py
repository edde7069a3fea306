"""What tests of several folders share."""

import gc
import os
import pathlib
from typing import TYPE_CHECKING

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker for each core: one thread is enough for each
    for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(_variable, "1")

# Traced functions are many objects that live long: by Python's own thresholds a tenth of the time
# of a long session goes into looking through them.
gc.set_threshold(100_000, 20, 20)

if TYPE_CHECKING:
    import keras

# Files that take a minute or more, the longest first. A worker takes one file after the other: one
# of these at the end would be waited for alone.
LONGEST = (
    "docs/docs_test.py",
    "contract/learners_contract_test.py",
    "examples/examples_test.py",
    "learners/weight_sparsification/learner_test.py",
    "main_test.py",
    "utils/graph/keras_io_test.py",
    "users/metrics_test.py",
    "learners/filter_pruning/learner_test.py",
    "learners/search/stage_test.py",
    "learners/base_test.py",
    "learners/channel_pruning/learner_test.py",
    "pipeline/stages_test.py",
    "flowpress_test.py",
    "utils/export/files_test.py",
    "utils/graph/law_test.py",
    "learners/uniform_quantization_tf/learner_test.py",
    "docs/sparse_files_test.py",
    "benchmarks/faults/runs_test.py",
    "learners/auto/learner_test.py",
    "docs/self_defined_models_test.py",
    "contract/doors_test.py",
    "utils/training/fit_test.py",
    "learners/non_uniform_quantization/learner_test.py",
    "learners/low_bits/learner_test.py",
    "learners/low_bits/search_test.py",
    "utils/export/conversion_test.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; within a file the order stays."""
    here = pathlib.Path(__file__).parent
    rank = {here / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name cases by what is the same in every process: workers compare the names they collect."""
    return type(val).__name__ if " at 0x" in repr(val) else None


@pytest.fixture(scope="session")
def trained_digits(tmp_path_factory: pytest.TempPathFactory) -> "keras.Model":
    """Train convnet_at_digits for two epochs; tests do not change it."""
    from tests.learners.runs import compress  # imports TensorFlow

    folder = tmp_path_factory.mktemp("trained_digits")
    return compress("full-prec", folder, nb_epochs="2", lrn_rate_init=0.02).model


@pytest.fixture(scope="session")
def narrow_digits(tmp_path_factory: pytest.TempPathFactory) -> "keras.Model":
    """Train half of convnet_at_digits: where wide layers would only take longer."""
    import keras

    from nets.backbones import convnet
    from tests.learners.runs import compress

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="images")
    model = keras.Model(inputs, convnet.build(inputs, 10, widths=(16, 32, 32)), name="narrow")
    folder = tmp_path_factory.mktemp("narrow_digits")
    return compress("full-prec", folder, model, nb_epochs="4", lrn_rate_init=0.05).model
