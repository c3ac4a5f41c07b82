"""Stopping: no task, no socket and no warning is left behind, whenever it comes."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator

import pytest

from dspy_session_chat.inbound import Inbound
from tests.loopback.slack import FakeSlack, held, server_error
from tests.slack.talk import ANN, ANNS_DM, Echo, echoing, platform_of, running

OURS = re.compile("slack_sdk|slack_bolt|dspy_session_slack")


@pytest.fixture(autouse=True)
async def _nothing_is_left(slack: FakeSlack) -> AsyncIterator[None]:
    """No task and no connection of the platform or its clients, once the test is through."""
    yield
    await slack.connected(0)
    assert still_running() == []
    gc.collect()  # what was not closed warns now, and warnings are errors


def still_running() -> list[str]:
    """The tasks of the platform and its clients."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return [str(each) for each in coroutines if OURS.search(each.cr_code.co_filename)]


async def test_when_idle(slack: FakeSlack):
    async with echoing(slack):
        assert still_running()
    assert still_running() == []


async def test_after_a_talk_and_a_refresh(slack: FakeSlack):
    async with echoing(slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await slack.next_post()
        await slack.refresh()
        await slack.connected()


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open", "link"])
async def test_while_connecting(slack: FakeSlack, method: str):
    slow = asyncio.Event()
    slack.fail(method, held(slow))
    platform = platform_of(slack)
    run = asyncio.create_task(platform.run(Echo(platform)))
    await slack.until(lambda: method in slack.reached)

    run.cancel()
    await asyncio.wait([run])
    slow.set()

    assert run.cancelled()


async def test_while_slack_is_down(slack: FakeSlack):
    async with echoing(slack, ping_interval=0.1):
        slack.fail("apps.connections.open", server_error(502), times=50)
        slack.drop_connections()
        await slack.connected(0)
        await slack.until(lambda: len(slack.called("apps.connections.open")) > 1)


async def test_an_event_under_way_is_still_acknowledged(slack: FakeSlack):
    receiving, go_on = asyncio.Event(), asyncio.Event()

    async def receive(inbound: Inbound) -> None:
        receiving.set()
        await go_on.wait()

    platform = platform_of(slack)
    run = asyncio.create_task(platform.run(receive))
    await slack.say("hello", channel=ANNS_DM, user=ANN)
    await receiving.wait()
    run.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)
    await asyncio.wait([run])

    await slack.settled()
    assert len(slack.acks) == 1


async def test_an_event_that_would_keep_us_is_left_to_the_next_process(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dspy_session_slack.transport.socket_mode.GRACE", 0.1)
    receiving, cancelled = asyncio.Event(), asyncio.Event()

    async def receive(inbound: Inbound) -> None:
        receiving.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with running(platform_of(slack), receive, slack):
        await slack.say("hello", channel=ANNS_DM, user=ANN)
        await receiving.wait()
    assert cancelled.is_set()
    assert slack.acks == []

    async with echoing(slack) as echo:
        await slack.next_post()
    assert echo.texts == ["hello"]


async def test_and_start_again(slack: FakeSlack):
    platform = platform_of(slack)
    for _ in range(2):
        async with running(platform, Echo(platform), slack):
            await slack.say("hello", channel=ANNS_DM, user=ANN)
            await slack.next_post()

    assert len(slack.posts) == 2
