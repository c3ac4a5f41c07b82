"""The PostgreSQL of the tests, for a process that measures."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

_running: dict[str, Any] = {}


def postgres() -> Any:
    """A server of this process's own; started once, gone with the process at the latest."""
    if "server" not in _running:
        sys.path.append(str(Path(__file__).parent.parent))
        from tests.postgres import Postgres

        _running["folder"] = tempfile.TemporaryDirectory(prefix="dspy-session-bench-")
        _running["server"] = Postgres(Path(_running["folder"].name))
        _running["server"].start()
    return _running["server"]


def stop() -> None:
    """Stop the server."""
    if "server" in _running:
        _running.pop("server").stop()
        _running.pop("folder").cleanup()
