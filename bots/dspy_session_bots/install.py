"""How to install what is missing."""

from __future__ import annotations

KIT = "dspy-session-kit"


def pip_install(extra: str = "", *, options: str = "") -> str:
    """The command that installs this kit, from a clone and by its name; nobody knows where the user has it from.

    Args:
        extra: The extra to install with it; none if empty.
        options: Of pip.
    """
    pip = f"pip install {options}".rstrip()
    clone, name = (f"'.[{extra}]'", f"'{KIT}[{extra}]'") if extra else (".", KIT)
    return f"{pip} {clone} in a clone of {KIT}, {pip} {name} elsewhere"
