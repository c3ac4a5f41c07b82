"""Every sink passes the contract that third parties run on theirs."""

from __future__ import annotations

import json

import pytest

from dspy_session.sinks import Callback, JsonLines
from dspy_session.testing import SinkContract
from dspy_session.testing.sink_contract import turn_event
from dspy_session_webhook import Webhook
from tests.loopback.receiver import SECRET, Reply, open_receiver


class Postbox:
    """The receiver: what it verified and answered with 204."""

    def __init__(self, receiver):
        self.receiver = receiver
        self._refused = 0

    def arrived(self):
        assert all(each.verified for each in self.receiver.deliveries)
        return [message["id"] for each in self.receiver.deliveries[self._refused :] for message in each.messages]

    def fail(self):
        self.receiver.always(Reply(503))

    def mend(self):
        self._refused = len(self.receiver.deliveries)
        self.receiver.always(None)


class TestWebhook(SinkContract):
    secrets = ("hush", SECRET.removeprefix("whsec_"))
    batch = 1

    @pytest.fixture
    async def other_side(self):
        async with open_receiver() as receiver:
            yield Postbox(receiver)

    @pytest.fixture
    def make_sink(self, other_side):
        url = other_side.receiver.url + "/hush?token=hush"
        return lambda: Webhook(url, SECRET, allow_loopback=True, batch=self.batch)


class TestWebhookInBatches(TestWebhook):
    batch = 5


class Folder:
    """A file of lines; its folder is replaced by a file when it is to fail."""

    def __init__(self, path):
        self.path = path

    def arrived(self):
        return [json.loads(line)["id"] for line in self.path.read_bytes().split(b"\n")[:-1]]

    def fail(self):
        self.path.parent.write_text("in the way")

    def mend(self):
        self.path.parent.unlink()


class TestJsonLines(SinkContract):
    @pytest.fixture
    def other_side(self, tmp_path):
        return Folder(tmp_path / "logs" / "turns.jsonl")

    @pytest.fixture
    def make_sink(self, other_side):
        return lambda: JsonLines(other_side.path)


class Function:
    def __init__(self):
        self._ids = []
        self._works = True

    def __call__(self, event):
        if not self._works:
            raise ConnectionError("hush")
        self._ids.append(event["id"])

    def arrived(self):
        return self._ids

    def fail(self):
        self._works = False

    def mend(self):
        self._works = True


class AsyncFunction(Function):
    async def __call__(self, event):
        super().__call__(event)


class TestCallback(SinkContract):
    secrets = ("hush",)

    @pytest.fixture(params=[Function, AsyncFunction])
    def other_side(self, request):
        return request.param()

    @pytest.fixture
    def make_sink(self, other_side):
        return lambda: Callback(other_side, name="crm")


# --- the contract finds what is wrong -----------------------------------------------------------------------------


EVENT = turn_event()


class Wrong(Callback):
    """A callback of which one thing may be spoiled."""

    made = 0

    def __init__(self, function, **spoiled):
        super().__init__(function, name="crm")
        type(self).made += 1
        for name, value in spoiled.items():
            setattr(self, name, value)


def run(test, **spoiled):
    """One test of the contract, on a sink with something wrong."""
    other_side = AsyncFunction()

    def make_sink():
        return Wrong(other_side, **spoiled)

    return getattr(SinkContract(), test), make_sink, other_side


@pytest.mark.parametrize(
    ("test", "spoiled"),
    [
        ("test_it_is_a_durable_sink_with_limits", {"timeout": 0}),
        ("test_its_name_is_the_same_after_a_restart", {"name": ""}),
        ("test_a_delivery_is_the_sinks_own", {"encode": lambda event: None}),
        ("test_different_events_have_different_ids", {"encode": lambda event: Callback(print, name="x").encode(EVENT)}),
    ],
)
def test_what_is_wrong_is_found(test, spoiled):
    check, make_sink, _ = run(test, **spoiled)
    with pytest.raises(AssertionError):
        check(make_sink)


async def _raise(batch):
    raise ConnectionError


async def _nothing(batch):
    return None


@pytest.mark.parametrize(
    "test", ["test_what_is_delivered_arrives_in_order", "test_a_failure_is_an_answer_and_the_next_attempt_may_work"]
)
@pytest.mark.parametrize("deliver", [_raise, _nothing])
async def test_a_wrong_delivery_is_found(test, deliver):
    check, make_sink, other_side = run(test, deliver=deliver)
    with pytest.raises((AssertionError, ConnectionError)):
        await check(make_sink, other_side)
