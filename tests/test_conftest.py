"""The guards of conftest.py must bite."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import dspy
import pytest

from tests.stub_lm import StubModel


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.invalid"])
def test_other_machines_are_refused(host: str, refused: list[str]) -> None:
    with pytest.raises(ConnectionRefusedError, match="this machine only"):
        socket.create_connection((host, 80), timeout=0.1)
    assert refused == [repr(host)]
    refused.clear()


def test_this_machine_may_talk_to_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()


def test_nothing_is_cached_even_where_an_lm_asks_for_it() -> None:
    stub = StubModel(cache=True)
    with dspy.context(lm=stub.lm):
        for _ in range(2):
            dspy.Predict("question -> answer")(question="again?")
    assert len(stub.prompts) == 2
    assert Path(os.environ["DSPY_CACHEDIR"]).name.startswith("dspy-session-tests-")
