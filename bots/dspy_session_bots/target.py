"""``MODULE:ATTR``: where an agent is, as the command line says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dspy_session import ConfigurationError


@dataclass(frozen=True, slots=True)
class Target:
    """Where an agent is.

    Args:
        module: A module's dotted name, or the path of a ``.py`` file.
        attribute: The name in it, dotted for a name inside another; empty when nobody said.
    """

    module: str
    attribute: str = ""

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}" if self.attribute else self.module

    @property
    def file(self) -> Path | None:
        """The file that is meant; None for a module's name."""
        return Path(self.module) if self.module.endswith(".py") else None

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target that ``text`` names.

        Raises:
            ConfigurationError: It can name none.
        """
        module, colon, attribute = text.rpartition(":")
        if not colon or attribute.endswith(".py"):  # a colon in a path, as in C:\\bots\\agent.py
            module, attribute = text, ""
        target = cls(module, attribute)
        names = [*([] if target.file else module.split(".")), *(attribute.split(".") if attribute else [])]
        if not module or (colon and not attribute and text.endswith(":")) or not all(map(str.isidentifier, names)):
            raise ConfigurationError(
                f"{text!r} names no agent: write MODULE:ATTR, such as support.bots:agent or ./agent.py:agent"
            )
        return target
