"""The one exception that means: what you gave us cannot be used."""


class InputError(ValueError):
    """A flag, file, model or data set of the user's cannot be used.

    Its message is one clear line: what was received, what is allowed, what to do next.
    `main.py` and the commands under `tools/` print it without a traceback and exit with status 2.
    """
