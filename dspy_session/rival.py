"""PyPI's ``dspy-session`` brings a package of the same name: of the two, the one installed last overwrote the other."""

from __future__ import annotations

import warnings
from importlib import metadata

RIVAL = "dspy-session"

REMEDY = (
    "keep one: pip uninstall dspy-session, then pip install --force-reinstall --no-deps dspy-session-kit "
    "(or . in a clone of it; the first takes files of ours with it)"
)


def warn_of_rival() -> None:
    """Warn when it is installed in this environment; looking it up takes a third of a millisecond."""
    try:
        version = metadata.version(RIVAL)
    except metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"dspy-session {version} is installed beside dspy-session-kit, and both provide dspy_session: {REMEDY}",
        stacklevel=3,  # whoever imports dspy_session
    )
