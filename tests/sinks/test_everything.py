"""All that happens in conversations, told to every sink at once, through a store that survives the process."""

from __future__ import annotations

import json

import dspy
import jsonschema
import pytest

from dspy_session.conversation import Conversations
from dspy_session.conversation.envelope import TYPES, load_schema
from dspy_session.sinks import Callback, JsonLines
from dspy_session.stores import SqliteStore
from dspy_session_webhook import Webhook
from tests.loopback.receiver import SECRET, Hang, open_receiver

KEY, FORK = "slack:T1:C1:1700.1", "slack:T1:C1:1700.2"


class Echo(dspy.Module):
    def forward(self, message):
        return dspy.Prediction(reply=message.upper())


@pytest.fixture
async def receiver():
    async with open_receiver() as opened:
        yield opened


async def test_every_sink_hears_all_of_it_in_order(receiver, tmp_path):
    called, path = [], tmp_path / "turns.jsonl"
    sinks = [
        Webhook(receiver.url, SECRET, allow_loopback=True),
        Webhook(receiver.url + "?batched", SECRET, allow_loopback=True, batch=10),
        JsonLines(path),
        Callback(called.append, name="crm"),
    ]
    async with Conversations(Echo(), SqliteStore(tmp_path / "bot.db"), sinks=sinks, agent_version="v7") as talk:
        for message in ("one", "two", "three"):
            await talk.acall(KEY, message=message)
        first, _, third = (await talk.state(KEY)).turns
        await talk.score(KEY, first.id, 1.0, by="slack:T1:U1", text="well said", source="button")
        await talk.edit(KEY, first.id, outputs={"reply": "Uno"})
        await talk.undo(KEY)
        await talk.fork(KEY, FORK)
        await talk.reset(KEY)
        await talk.forget("web::gone")

    told = {
        "callback": called,
        "lines": [json.loads(line) for line in path.read_bytes().splitlines()],
        "webhook": [m for each in receiver.deliveries if each.path == "/turns" for m in each.messages],
        "batches": [m for each in receiver.deliveries if each.path != "/turns" for m in each.messages],
    }
    assert all(each.verified for each in receiver.deliveries)
    for events in told.values():
        for event in events:
            schema = load_schema(event["type"])
            jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(event)
        here = [event for event in events if event["data"]["conversation"]["key"] == KEY]
        assert [event["type"] for event in here] == [
            *["conversation.turn"] * 3,
            "turn.scored",
            "turn.edited",
            "conversation.undone",
            "conversation.reset",
        ]
        assert here[0]["data"]["outputs"] == {"reply": "ONE"}
        assert here[0]["data"]["agent_version"] == "v7"
        assert (here[3]["data"]["turn_id"], here[3]["data"]["text"]) == (first.id, "well said")
        assert (here[4]["data"]["inputs"], here[4]["data"]["outputs"]) == ({"message": "one"}, {"reply": "Uno"})
        assert here[5]["data"]["turn_ids"] == [third.id]
        assert {event["type"] for event in events} == set(TYPES)
        assert {event["id"] for event in events} == {event["id"] for event in called}
        assert len(events) == len(called) == len(here) + 2


async def test_what_was_not_delivered_when_the_process_ended_is_delivered_by_the_next(receiver, tmp_path):
    receiver.always(Hang())
    hook = Webhook(receiver.url, SECRET, allow_loopback=True)
    talk = Conversations(Echo(), SqliteStore(tmp_path / "bot.db"), sinks=[hook])
    await talk.acall("web::1", message="one")
    await talk.acall("web::2", message="two")
    await receiver.arrived(2)
    await talk.aclose(grace=0)

    receiver.always(None)
    later = SqliteStore(tmp_path / "bot.db", clock=lambda: 4e9)  # when the leases of the first process have ended
    talk = Conversations(Echo(), later, sinks=[Webhook(receiver.url, SECRET, allow_loopback=True)])
    async with talk:
        deliveries = await receiver.arrived(4)
    assert {each.id for each in deliveries[:2]} == {each.id for each in deliveries[2:]}
    assert len({each.body for each in deliveries}) == 2
