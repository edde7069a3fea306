"""Keep what C++ libraries write straight to the terminal out of the way."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_native() -> Iterator[None]:
    """Silence Python warnings and everything written to file descriptor 2 inside the block.

    The converter and the interpreter report to the terminal directly; no log level holds that
    back. What matters of it is in their exceptions as well. Applies to the whole process, so keep
    the block short.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        with contextlib.suppress(OSError):  # a closed descriptor 2 has nothing to silence
            stack.enter_context(_redirected_stderr())
        yield


@contextlib.contextmanager
def _redirected_stderr() -> Iterator[None]:
    sys.stderr.flush()
    original = os.dup(2)
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(original, 2)
    finally:
        os.close(original)
