from __future__ import annotations

import pytest

from dspy_session_webhook import Webhook
from tests.fake_clock import FakeClock
from tests.loopback.receiver import SECRET, open_receiver


@pytest.fixture
async def receiver():
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def open_webhook(receiver, clock):
    """Makes webhooks to ``receiver`` on a clock that stands still, without jitter; closes them after the test."""
    opened = []

    def open_one(url=None, secret=SECRET, **options):
        options = {"clock": clock, "random": lambda: 0.0, "allow_loopback": True, **options}
        opened.append(Webhook(url if url is not None else receiver.url, secret, **options))
        return opened[-1]

    yield open_one
    for webhook in opened:
        await webhook.aclose(grace=0)
