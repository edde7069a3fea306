"""Where in the zoo a model belongs."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from utils.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a model's networks go.

    Attributes:
        zoo: the root.
        domain: vision, nlp or recommendation.
        task: such as classification.
        model: such as resnet50v1b.
    """

    zoo: pathlib.Path
    domain: str
    task: str
    model: str

    @property
    def folder(self) -> pathlib.Path:
        """The model's folder."""
        return self.zoo / self.domain / self.task / self.model

    def check(self) -> None:
        """Refuse names that lead elsewhere.

        Raises:
            InputError: naming the part.
        """
        for name in ("domain", "task", "model"):
            value = getattr(self, name)
            if not _NAME.fullmatch(value):
                raise InputError(
                    f"`{name}` must be a name of letters, digits, dots, hyphens and underscores. "
                    f"Received: {value!r}."
                )
