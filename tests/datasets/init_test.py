import subprocess
import sys

import pytest

from datasets import DATASETS, load_dataset
from utils.errors import InputError


def test_unknown_name():
    with pytest.raises(
        InputError, match=r"Unknown data set 'digit'. Did you mean 'digits'\? Valid"
    ):
        load_dataset("digit")


def test_one_data_set_does_not_load_another():
    code = (
        "import sys, datasets\n"
        "datasets.load_dataset('digits')\n"
        f"loaded = [name for name in {list(DATASETS.values())} if name in sys.modules]\n"
        "sys.exit(loaded != ['datasets.digits_dataset'] or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
