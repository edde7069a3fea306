"""Latency of `.tflite` files as on a processor without AMX, on one that has it.

AMX multiplies tiles of 64 int8 channels: 16, 32 and 64 channels take the same time, so pruning a
network that is no wider gains nothing there. Phones, boards and most processors have vector units
of 8 or 16 numbers instead. A process must ask Linux for permission to use AMX; here a seccomp
filter refuses it, and the interpreter falls back to vectors (AVX-512 VNNI or AVX2).

    python -m benchmarks.without_amx one.tflite other.tflite

prints one JSON object: path -> median in ms, all measured in turns.
"""

from __future__ import annotations

import ctypes
import json
import pathlib
import struct
import subprocess
import sys
from collections.abc import Sequence

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_CPUINFO = pathlib.Path("/proc/cpuinfo")
_REPEATS = 500

# <linux/prctl.h>, <linux/seccomp.h>, <asm/prctl.h>; system call numbers of x86-64.
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM = 158, 0x1023
_RET_ALLOW, _RET_EPERM = 0x7FFF0000, 0x00050001
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06


def has_amx() -> bool:
    """Say whether this machine's processor has AMX for int8."""
    return _CPUINFO.is_file() and "amx_int8" in _CPUINFO.read_text(encoding="utf-8")


def measure_without_amx(paths: Sequence[pathlib.Path]) -> list[float]:
    """Measure files in a process of their own that may not use AMX.

    Args:
        paths: the `.tflite` files.

    Returns:
        Median of each, in ms.

    Raises:
        RuntimeError: the process failed; with what it wrote.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.without_amx", *map(str, paths)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"benchmarks.without_amx failed: {done.stderr[-500:]}")
    medians = json.loads(done.stdout.splitlines()[-1])
    return [medians[str(path)] for path in paths]


def refuse_amx() -> None:
    """Let no later request of this process for AMX succeed.

    Raises:
        OSError: the system does not take the filter.
    """
    nothing = (0, 0, 0)
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (_LOAD_WORD, 0, 0, 0),  # the number of the system call
            (_JUMP_IF_EQUAL, 0, 3, _ARCH_PRCTL),
            (_LOAD_WORD, 0, 0, 16),  # its first argument
            (_JUMP_IF_EQUAL, 0, 1, _ARCH_REQ_XCOMP_PERM),
            (_RETURN, 0, 0, _RET_EPERM),
            (_RETURN, 0, 0, _RET_ALLOW),
        )
    )
    buffer = ctypes.create_string_buffer(program)
    described = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, *nothing) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "cannot install a seccomp filter")


def _main(paths: Sequence[str]) -> None:
    refuse_amx()
    from utils.latency import file_call, measure  # the interpreter looks for AMX when it is loaded

    stats = measure({path: file_call(path) for path in paths}, repeats=_REPEATS)
    sys.stdout.write(json.dumps({path: stats[path].p50 for path in paths}) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
