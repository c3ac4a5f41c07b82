"""What pyproject.toml says, and what stands in the source roots."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

with (ROOT / "pyproject.toml").open("rb") as _file:
    PYPROJECT: dict[str, Any] = tomllib.load(_file)

PACKAGES = [ROOT / path for path in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
"""The packages that the wheel is told to hold."""

EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]


def modules(package: Path) -> list[str]:
    """The dotted names of a package's modules, itself included."""
    names = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def distribution(requirement: str) -> str:
    """The normalised name of the distribution that a requirement asks for."""
    name = re.split(r"[\s\[<>=!~;(]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()
