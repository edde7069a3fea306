"""The process of a PyTorch module: what it imports. (What it does: `process_test.py`.)"""

import subprocess
import sys

LOOK = """
import sys
import utils.frontends.torch.child
found = [name for name in ("tensorflow", "keras") if name in sys.modules]
sys.exit(f"imports {found}" if found else 0)
"""


def test_tensorflow_is_not_in_pytorchs_process():
    ended = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
