"""A webhook on a session, without any bot."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections import defaultdict

import cloudpickle
import dspy
import pytest

from dspy_session import sessionify, with_memory
from dspy_session_webhook import Webhook
from tests.loopback.receiver import SECRET, Hang, open_receiver
from tests.stub_lm import StubModel


@pytest.fixture
def stub():
    return StubModel(model="stub/parrot")


@pytest.fixture
def receiver_elsewhere():
    """A receiver in another thread's event loop: where the test runs there is none."""
    opened, ready, done = [], threading.Event(), threading.Event()

    async def serve():
        async with open_receiver() as receiver:
            opened.append(receiver)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield opened[0]
    done.set()
    thread.join()


def questions(deliveries):
    return [delivery.payload["data"]["inputs"]["question"] for delivery in deliveries]


def test_a_sync_program_without_any_event_loop(receiver_elsewhere, stub):
    webhook = Webhook(receiver_elsewhere.url, SECRET, allow_loopback=True)
    session = sessionify(dspy.Predict("question -> answer"), on_turn=webhook)
    with dspy.context(lm=stub.lm):
        for number in range(5):
            session(question=f"number {number}")
    webhook.close(grace=10)
    deliveries = receiver_elsewhere.deliveries
    assert questions(deliveries) == [f"number {number}" for number in range(5)]
    assert all(delivery.verified for delivery in deliveries)
    data = deliveries[3].payload["data"]
    turn = session.turns[3]
    assert (data["turn_id"], data["index"], data["outputs"]) == (turn.id, 3, turn.outputs)
    assert (data["model"], data["author"]) == ("stub/parrot", None)
    assert deliveries[3].payload["timestamp"] == data["created_at"]


@pytest.mark.filterwarnings("error")
async def test_an_async_program(receiver, open_webhook, stub):
    session = sessionify(dspy.Predict("question -> answer"), on_turn=[open_webhook()])
    with dspy.context(lm=stub.lm):
        await session.acall(question="with await")
        session(question="without, while a loop runs")
    assert questions(await receiver.arrived(2)) == ["with await", "without, while a loop runs"]


async def test_turns_go_on_while_the_endpoint_hangs(receiver, open_webhook, stub):
    receiver.always(Hang())
    webhook = open_webhook()
    session = sessionify(dspy.Predict("question -> answer"), on_turn=webhook)
    with dspy.context(lm=stub.lm):
        for number in range(10):
            await session.acall(question=str(number))
    assert webhook.waiting == len(session) == 10


async def test_each_state_is_a_conversation_of_its_own(receiver, open_webhook, stub):
    session = sessionify(dspy.Predict("question -> answer"), on_turn=open_webhook())
    states = [session.new_state() for _ in range(4)]

    async def talk(state):
        async with session.use_state(state):
            for number in range(5):
                await session.acall(question=str(number))

    with dspy.context(lm=stub.lm):
        await asyncio.gather(*map(talk, states))
    heard = defaultdict(list)
    for delivery in await receiver.arrived(20):
        heard[delivery.conversation].append(delivery.turn_id)
    assert heard == {state.turns[0].id: [turn.id for turn in state.turns] for state in states}


async def test_a_fork_is_another_conversation_through_the_same_hook(receiver, open_webhook, stub):
    session = sessionify(dspy.Predict("question -> answer"), on_turn=open_webhook())
    with dspy.context(lm=stub.lm):
        session(question="before")
        fork = session.fork()
        session(question="here")
        fork(question="there")
        copy.deepcopy(session)(question="elsewhere")
    heard = {delivery.conversation: questions([delivery]) for delivery in (await receiver.arrived(4))[1:]}
    assert sorted(heard.values()) == [["elsewhere"], ["here"], ["there"]]


async def test_conversations_may_be_named(receiver, open_webhook, stub):
    webhook = open_webhook(conversation=lambda session, turn: f"web::{turn.inputs['question']}")
    session = sessionify(dspy.Predict("question -> answer"), on_turn=webhook)
    with dspy.context(lm=stub.lm):
        session(question="user-7")
    (delivery,) = await receiver.arrived(1)
    conversation = delivery.payload["data"]["conversation"]
    assert (conversation["platform"], conversation["channel"]) == ("web", "user-7")


async def test_only_the_root_of_a_program_is_posted(receiver, open_webhook, stub):
    class Twice(dspy.Module):
        def __init__(self):
            super().__init__()
            self.first = dspy.Predict("question -> draft")
            self.second = dspy.Predict("draft -> answer")

        def forward(self, question):
            return self.second(draft=self.first(question=question).draft)

    webhook = open_webhook()
    session = with_memory(Twice(), on_turn=webhook)
    with dspy.context(lm=stub.lm):
        session(question="one")
    await webhook.aclose(grace=10)
    assert questions(receiver.deliveries) == ["one"]


async def test_a_program_without_a_model(receiver, open_webhook):
    class Clock(dspy.Module):
        def forward(self, question):
            return "noon"

    sessionify(Clock(), on_turn=open_webhook())(question="what time is it?")
    (delivery,) = await receiver.arrived(1)
    data = delivery.payload["data"]
    assert (data["model"], data["outputs"]) == (None, {"output": "noon"})


def test_a_pickled_session_leaves_the_hook_behind():
    session = sessionify(dspy.Predict("question -> answer"), on_turn=Webhook("https://example.com/", SECRET))
    pickled = cloudpickle.dumps(session)
    assert SECRET.encode() not in pickled
    assert cloudpickle.loads(pickled).on_turn is None
