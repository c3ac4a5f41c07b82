from __future__ import annotations

import errno
import socket

import pytest

from dspy_session import ConfigurationError
from dspy_session.errors import PlatformError
from dspy_session_bots.playground import Playground
from dspy_session_bots.playground.port import address, listen


def test_a_free_port_is_taken_on_this_machine():
    with listen("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        assert address(listening) == f"http://127.0.0.1:{port}/"
    assert host == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.com", ""])
def test_an_address_that_others_can_reach_is_refused(host: str):
    with pytest.raises(ConfigurationError, match=r"no sign-in, so it is served to this machine only"):
        listen(host, 0)


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_refused(port: int):
    with pytest.raises(ConfigurationError, match="from 0"):
        listen("127.0.0.1", port)


def test_a_taken_port_says_how_to_mend_it():
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(PlatformError, match=f"port {port} is taken: stop the program that uses it, or choose"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "port 80 needs more rights than yours"),
        (errno.EADDRNOTAVAIL, "cannot listen on ::1, port 80: No"),
    ],
)
def test_other_refusals_of_the_system_are_one_line(monkeypatch: pytest.MonkeyPatch, number: int, said: str):
    def refuse(*args: object, **options: object) -> socket.socket:
        raise OSError(number, "No such luck")

    monkeypatch.setattr(socket, "create_server", refuse)  # root may take any port, and most machines have an ::1
    with pytest.raises(PlatformError, match=said):
        listen("::1", 80)


async def test_binding_twice_keeps_the_port():
    playground = Playground(verify=lambda headers, body: True)
    with pytest.raises(ConfigurationError, match=r"no address yet: call bind\(\) first"):
        _ = playground.hook_url
    playground.bind()
    url = playground.url
    playground.bind()
    assert (playground.url, playground.hook_url) == (url, f"{url}hooks/turns")
    await playground.aclose()


async def test_a_playground_without_a_bot_says_so():
    with pytest.raises(ConfigurationError, match="not on a bot"):
        await Playground().run(lambda inbound: None)
