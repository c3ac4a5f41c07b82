"""A process that runs the command lines on its stdin one after the other, and tells on its stdout what came of each."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any

from dspy_session_bots.cli import run


def main() -> None:
    """Each line and each result is an object or a list of JSON; all of them are in one list."""
    json.dump([_result(line) for line in json.load(sys.stdin)], sys.stdout)


def _result(line: dict[str, Any]) -> tuple[int, str, str]:
    environ, modules, stdin = dict(os.environ), dict(sys.modules), sys.stdin
    out, err, missing = io.StringIO(), io.StringIO(), line["missing"]
    os.environ.update(line["variables"])
    for name in [name for name in modules if name.partition(".")[0] in missing]:
        del sys.modules[name]
    sys.modules.update(dict.fromkeys(name for name in missing if not name.startswith("dspy_session")))
    sys.stdin = io.TextIOWrapper(io.BytesIO(line["said"].encode()), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(line["arguments"])
    sys.stdin = stdin
    for name in missing:
        sys.modules.pop(name, None)
    sys.modules.update(modules)
    os.environ.clear()
    os.environ.update(environ)
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    main()
