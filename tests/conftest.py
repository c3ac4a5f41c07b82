"""What every test stands on: no network but this machine's own, no cache, nothing written to anybody's home."""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.postgres import postgres, postgres_url  # noqa: F401  # fixtures: the server starts when a test asks for it

# Both are read when dspy and litellm are imported, so they are set before any test module imports them.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # else LiteLLM asks the network for its prices
os.environ["DSPY_CACHEDIR"] = _CACHE = tempfile.mkdtemp(prefix="dspy-session-tests-")

# No deadline: a busy machine is no bug. In CI every run tries the same examples, and make soak tries many.
settings.register_profile("local", deadline=None, max_examples=40)
settings.register_profile("ci", deadline=None, max_examples=40, derandomize=True, database=None, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile("ci" if os.environ.get("CI") else "local")

_FIRST = ("test_soak.py", "test_provider.py", "test_shortening.py")
"""The longest, so that nobody waits for it at the end; and what needs LiteLLM, so that only one worker imports it."""

_refused: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the garbage collector: nearly all of it stays until the end, and is never looked through."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _FIRST)


def _address(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return None


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to look up a name or to reach any other machine."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
        if host in (None, "", b"", "localhost", b"localhost") or _address(host):
            return
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        address = _address(host)
        if host == "localhost" or (address and address.is_loopback):
            return
    else:
        return
    _refused.append(f"{host!r}")
    raise ConnectionRefusedError(f"tests talk to this machine only, not to {host!r}")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def refused() -> Iterator[list[str]]:
    """The other machines that the test asked for: it fails if any are left, also where a library hid the refusal."""
    _refused.clear()
    yield _refused
    assert not _refused, f"this test asked for other machines: {', '.join(_refused)}"


@pytest.fixture(scope="session", autouse=True)
def _no_cache() -> Iterator[None]:
    """Every call reaches the model; what DSPy wrote at import goes with the run."""
    import dspy

    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    yield
    shutil.rmtree(Path(_CACHE), ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def synchronous() -> Iterator[str]:
    """SQLite does not wait for the disk, as PostgreSQL does not here: a killed process loses nothing that the machine's
    memory holds. What it is told where no test runs.
    """
    from dspy_session.stores.sqlite import schema

    usual = schema.SYNCHRONOUS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "SYNCHRONOUS", "OFF")
        yield usual
