import subprocess
import sys

import pytest

from learners.due_steps import due_steps


def test_due_steps():
    assert list(due_steps(0, 1, 1)) == [(1, 1.0)]
    assert list(due_steps(10, 7, 3)) == [(13, 0.5), (16, 1.0)]


@pytest.mark.parametrize("numbers", [(-1, 4, 2), (0, 4, 0), (0, 4, 5), (0, 0, 1)])
def test_steps_that_cannot_be(numbers):
    with pytest.raises(ValueError, match=r"`pretrain_step` must be at least 0.*Received: pretrain"):
        list(due_steps(*numbers))


def test_flags_of_sparse_training_are_read_without_keras():
    """Wrong flags are refused before TensorFlow is loaded."""
    code = (
        "import sys, learners.weight_sparsification.config, learners.weight_sparsification.schedule"
        "; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
