"""Nobody is an id: neither in what the agent reads nor in what people read."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat import Manners, Post, Reply
from dspy_session_chat.action import Action
from dspy_session_chat.testing.scene import playing
from dspy_session_slack.directory import FRESH, REFUSED, Directory
from dspy_session_slack.inbound.address import Ignored
from dspy_session_slack.inbound.changes import change_of, translate_change
from dspy_session_slack.inbound.presses import pressed
from dspy_session_slack.inbound.reactions import reaction_of
from dspy_session_slack.inbound.shortcut import ASK_ABOUT, about
from dspy_session_slack.inbound.translate import translate
from dspy_session_slack.outbound.buttons import ACTION
from dspy_session_slack.outbound.harmless import harmless, ids_in, like_ids
from dspy_session_slack.outbound.settled import settled
from dspy_session_slack.unnamed import UNNAMED, renamed, unnamed, unnamed_in
from tests.loopback.slack import BOT_SCOPES, FakeSlack, held, refused
from tests.loopback.slack.faults import Fault
from tests.loopback.slack.workspace import User
from tests.slack.payloads import BOT, DELETION, EDIT, REACTION, body, message
from tests.slack.stage import SlackStage
from tests.slack.talk import (
    ANN,
    ANNS_DM,
    BEN,
    GENERAL,
    MENTION,
    OTHER_BOT,
    Echo,
    echoing,
    platform_of,
    running,
    some_inbound,
)

CAROL = User("U0CAROL01", "carol", "Carol")
ID = re.compile(r"(?<![A-Za-z0-9])[UWBCGSTD]0[A-Z0-9]{5,}")

ids = st.builds("{}0{}".format, st.sampled_from("UWBCGSTD"), st.text("AKZ019", min_size=5, max_size=9))
words = st.text("ab .!\n*`é", max_size=6)


def labelled(sign: str) -> st.SearchStrategy[str]:
    """What Slack writes for an id, with a label of its own, an empty one, the id once more, or none."""
    labels = st.sampled_from(["", "|", "|ann", "|shop"])
    return ids.flatmap(lambda one: (labels | st.just(f"|{one}")).map(lambda label: f"<{sign}{one}{label}>"))


marks = (labelled("@") | labelled("#") | labelled("!subteam^") | labelled("!")) | st.sampled_from(
    ["<!here>", "<!channel|channel>", "<!date^1392734382^{date}>", "<!date^1^{date}|then>", "<@>", "<#>"]
)
texts = st.lists(marks | words, max_size=8).map("".join)
authors = st.fixed_dictionaries(
    {},
    optional={
        "user": ids,
        "bot_id": ids,
        "username": st.sampled_from(["monitor", "", None]),
        "bot_profile": st.sampled_from([{"name": "CI"}, {}, 7]),
        "user_profile": st.sampled_from([{"display_name": "", "real_name": "Dee"}, {"name": 7}, None]),
        "subtype": st.just("bot_message"),
    },
)
spaces = ids.filter(lambda one: one[0] in "CGD")


forwarded = st.fixed_dictionaries(
    {"is_share": st.just(True), "text": texts}, optional={"author_id": ids, "author_name": ids | st.just("Dee")}
)


@given(texts, authors, spaces, ids, st.lists(forwarded, max_size=2))
def test_whatever_comes_no_id_is_read(text: str, author: dict[str, Any], channel: str, viewing: str, shared: Any):
    event = {**message(text, channel=channel), **author, "app_context": {"channel_id": viewing}, "attachments": shared}
    event["files"] = [{"id": "F0FILE1234", "url_private": "https://files.slack.com/x"}]

    said = translate(body(event), "ambient", BOT, {})

    shown = [said.text, said.author.name, said.channel_name, said.viewing, *(each.name for each in said.attachments)]
    assert not [word for word in shown if ID.search(word)]
    assert said.author.name


@pytest.mark.parametrize("event", [EDIT, DELETION, REACTION])
def test_who_does_something_is_no_id_either(event: dict[str, Any]):
    change = reaction_of(event, BOT, {}) if event is REACTION else change_of(event, BOT)
    assert not isinstance(change, Ignored)
    action = change if isinstance(change, Action) else translate_change(change, BOT, {})

    assert action.author.name == unnamed("U00ANN")


def test_who_presses_a_button_or_wrote_what_is_asked_about_is_none():
    element = {"action_id": f"{ACTION}0", "value": '["good","t1",""]', "action_ts": "1.1"}
    place = {"channel_id": "C00CHAN", "message_ts": "1.0"}
    press = pressed({"actions": [element], "container": place, "user": {"id": "U00ANN"}}, BOT, {})
    asked = about({"callback_id": ASK_ABOUT, "message": message("<@U00BEN>?"), "channel": {"id": "C00CHAN"}}, BOT, {})

    assert press is not None
    assert press.action.author.name == unnamed("U00ANN")
    assert asked is not None
    assert (asked.author, asked.text) == (unnamed("U00ANN"), f"@{unnamed('U00BEN')}?")


@given(ids, ids)
def test_the_same_one_is_called_the_same_and_what_it_is(one: str, other: str):
    assert unnamed(one) == unnamed(one)
    kinds = {"U": "person", "W": "person", "B": "bot", "C": "channel", "G": "channel", "S": "group"}
    assert unnamed(one).startswith(kinds.get(one[0], ("direct message", "person")))


def test_strangers_of_one_message_stay_apart():
    said = translate(body(message("<@U0STRANGER1> knows <@U0STRANGER2> and <@U0STRANGER1>")), "ambient", BOT, {})

    first, second, third = re.findall(r"@person [0-9]{5}", said.text)
    assert first == third != second


@given(st.lists(ids.filter(lambda one: one[0] in "UW").map("<@{}>".format) | words, max_size=6).map("".join))
def test_a_name_that_comes_late_stands_where_it_would_have_stood(text: str):
    """Also in a message that was changed meanwhile."""
    event = message(f"hello {text} there")
    come = translate(body(event), "mention", BOT, {})
    names = {each: f"{each.lower()} \\1" for each in unnamed_in(come)}

    late, at_once = renamed(come, names), translate(body(event), "mention", BOT, names)

    assert replace(late, reply_to=at_once.reply_to) == at_once
    assert renamed(replace(come, text=f"no, {come.text}"), names).text == f"no, {at_once.text}"
    assert renamed(come, {}) == come


@pytest.mark.parametrize("mark", [7, {}, {"ids": 7}, {"ids": [7, ""]}, {"ids": [ANN]}, {"ids": [ANN], "viewing": 7}])
def test_a_mark_of_any_shape_harms_nothing(mark: Any):
    marked = replace(some_inbound(), reply_to={"channel": ANNS_DM, UNNAMED: mark})

    assert renamed(marked, {ANN: "Ann"}).text == marked.text


# What the bot says


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("<@U0CAROL01> and U0CAROL01, @U0CAROL01!", "@Carol and Carol, @Carol!"),
        ("<@U0NOBODY99> (U0NOBODY99)", "@{0} ({0})"),
        ("in C0GENERAL, #C0GENERAL and <#C0GENERAL>", "in #general, #general and #general"),
        ("C0603C104K5 and B0CHX1W1XY are parts, U0100 is a code", None),
        ("UNIVERSITY, W-U0NOBODY99, U0NOBODY99-X, XU0NOBODY99", None),
        ("https://acme.slack.com/team/U0CAROL01?x=U0NOBODY99 and slack:T0LOOPBACK:U0CAROL01", None),
        ("acme.slack.com/archives/C0GENERAL/p1 and www.a.example/U0CAROL01?x=U0NOBODY99", None),
        ("U0CAROL01/U0CAROL01. U0CAROL01/", "Carol/Carol. Carol/"),
        ("`U0CAROL01` and `U0NOBODY99`", "`Carol` and `U0NOBODY99`"),
        ("```\nU0NOBODY99\n```\nU0NOBODY99", "```\nU0NOBODY99\n```\n{0}"),
    ],
)
def test_no_id_is_said(written: str, said: str | None):
    names = {"U0CAROL01": "Carol", "C0GENERAL": "general"}

    assert harmless(written, names) == (written if said is None else said.format(unnamed("U0NOBODY99")))


@pytest.mark.parametrize("written", ["<@U0CAROL01>", "@U0CAROL01", "[U0CAROL01](https://a.example)"])
@pytest.mark.parametrize(
    "name",
    [
        "[bank.example](https://b.example)",
        "![](https://b.example/?x)",
        "<https://b.example|bank>",
        "https://a@b.example",
    ],
)
def test_no_name_is_a_link(written: str, name: str):
    said = harmless(written, {"U0CAROL01": name})

    assert "U0CAROL01" not in said
    assert not re.search(r"\]\(https://b|<https|://a@b", said)
    assert harmless(said) == said


@given(
    st.lists(ids.map("<@{}>".format) | ids | words | st.sampled_from(["`", "```", "https://a.example/"]), max_size=10)
)
def test_saying_it_again_says_the_same(pieces: list[str]):
    text = " ".join(pieces)
    once = harmless(text, dict.fromkeys(like_ids(text)[::2], "Ann `B`"))

    assert harmless(once) == once
    assert not ids_in(once)


def test_what_may_become_an_id_is_not_said_yet():
    answer = "Ask U0CAROL01 about it"
    shown = [settled(answer[:length], str) for length in range(len(answer) + 1)]

    assert [words for words in shown if re.search(r"\bU", words)] == shown[-len(" about it") :]


# Over sockets


class Reader(dspy.Module):
    """An agent that is told who writes, and where."""

    async def aforward(self, message: str, author: str, channel: str) -> dspy.Prediction:
        return dspy.Prediction(reply="yes")


async def test_a_name_that_slack_is_slow_to_tell_is_there_when_the_agent_reads(
    slack: FakeSlack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dspy_session_slack.directory.PATIENCE", 0.01)
    monkeypatch.setattr("dspy_session_slack.directory.LEISURE", 30.0)
    slow, slow_again = asyncio.Event(), asyncio.Event()
    for method in ("users.info", "conversations.info"):
        slack.fail(method, held(slow), times=6)
    async with playing(SlackStage(slack), Reader(), tmp_path) as scene:
        said = await slack.say(f"{MENTION} is <@{BEN}> in, or <@U0NOBODY99>?", channel=GENERAL, user=ANN)
        await scene.arrived(1)
        slow.set()
        (turn,) = await scene.remembers(len)
        await slack.settled()
        slack.fail("users.info", held(slow_again), times=2)
        await slack.edit(said, f"{MENTION} or <@{OTHER_BOT}>?", channel=GENERAL)
        await scene.arrived(2)
        slow_again.set()
        await scene.remembers(lambda turns: turns and turns[0].inputs["message"] == "or @Ticker?")

    assert turn.inputs == {
        "message": f"is @Ben in, or @{unnamed('U0NOBODY99')}?",
        "author": "Ann",
        "channel": "general",
    }


async def test_who_asks_by_a_command_has_the_name_that_people_know(slack: FakeSlack, tmp_path: Path):
    async with playing(SlackStage(slack), Reader(), tmp_path) as scene:
        await slack.command("/ask", "who?", channel=GENERAL, user=ANN)
        (turn,) = await scene.remembers(len)

    assert turn.inputs == {"message": "who?", "author": "Ann", "channel": "general"}


async def test_strangers_are_called_as_they_are_where_they_come_from_or_by_a_word_that_stays(slack: FakeSlack):
    slack.fail("users.info", refused("user_not_visible"), times=2)
    async with echoing(slack) as echo:
        for _ in range(2):
            await slack.say("hello", channel=ANNS_DM, user=ANN)
            await slack.next_post()
        await slack.say(
            "and I", channel=ANNS_DM, user=ANN, user_profile={"display_name": "", "real_name": "Ann of Acme"}
        )
        await slack.next_post()
        await slack.say(f"is it <@{ANN}>, or <@U0OTHERBOT>?", channel="D0BEN", user=BEN)
        await slack.next_post()

    assert [each.author.name for each in echo.received] == [*[unnamed(ANN)] * 2, "Ann of Acme", unnamed(BEN)]
    assert echo.texts[-1] == "is it @Ann of Acme, or @Ticker?"
    assert [call["user"] for call in slack.called("users.info")] == [ANN, BEN, OTHER_BOT]


@pytest.mark.parametrize(("scopes", "ops"), [({"usergroups:read"}, "ops"), (set(), unnamed("S0OPS"))])
async def test_a_user_group_has_its_name_where_the_app_may_know_it(scopes: set[str], ops: str):
    async with FakeSlack(bot_scopes={*BOT_SCOPES, *scopes}) as slack, echoing(slack) as echo:
        slack.workspace.groups |= {"S0OPS": "ops", "S0ADMINS": "admins"}
        for _ in range(2):
            await slack.say("ask <!subteam^S0OPS> or <!subteam^S0ADMINS|@admins>", channel=ANNS_DM, user=ANN)
            post = await slack.next_post()
        answer = await platform_of(slack).post(Post(some_inbound(), Reply("I ask <!subteam^S0OPS>.")))

    assert echo.texts == [f"ask @{ops} or @admins"] * 2
    assert post.pings == slack.pinged == []
    assert slack.posts[-1].text.replace("\u200b", "") == f"I ask @{ops}."
    assert len(answer.message_ids) == 1
    assert len(slack.called("usergroups.list")) == 2  # by either platform


async def test_what_is_refused_is_asked_again_after_a_while_and_what_fails_the_next_time(slack: FakeSlack):
    now = 0.0
    directory = Directory(AsyncWebClient(base_url=slack.base_url, token=slack.bot_token), lambda: now)

    async def asked(*ids: str) -> tuple[dict[str, str], int]:
        before = len(slack.called("users.info")) + len(slack.called("bots.info"))
        names = await directory.names(ids)
        return names, len(slack.called("users.info")) + len(slack.called("bots.info")) - before

    slack.fail("users.info", refused("missing_scope"))
    assert await asked(ANN) == ({}, 1)
    assert await asked(ANN) == ({}, 0)
    now += REFUSED
    slack.fail("users.info", refused("internal_error"))
    assert await asked(ANN) == ({}, 1)
    assert await asked(ANN, "B0OTHERBOT") == ({ANN: "Ann", "B0OTHERBOT": "ticker"}, 2)
    assert await asked(ANN) == ({ANN: "Ann"}, 0)
    now += FRESH
    slack.fail("users.info", refused("internal_error"))
    assert await asked(ANN) == ({ANN: "Ann"}, 1)
    slack.fail("users.info", refused("user_not_found"))
    assert await asked(ANN) == ({ANN: "Ann"}, 1)


@pytest.mark.parametrize("answer", [{}, {"user": None}, {"usergroups": [{}, {"handle": "ops"}]}])
async def test_an_answer_with_nothing_in_it_is_no_name(slack: FakeSlack, answer: dict[str, Any]):
    for method in ("users.info", "bots.info", "conversations.info", "usergroups.list"):
        slack.fail(method, Fault(200, {"ok": True, **answer}))
    directory = Directory(AsyncWebClient(base_url=slack.base_url, token=slack.bot_token))
    assert await directory.names([ANN, "B0OTHERBOT", GENERAL, "S0OPS"]) == {}


async def test_where_the_name_of_a_channel_matters_it_is_known_from_the_first_word(slack: FakeSlack):
    platform = platform_of(slack)
    platform.use_manners(Manners(channels={"general": "always"}))
    echo = Echo(platform)
    async with running(platform, echo, slack):
        for _ in range(2):
            await slack.say("lunch?", channel=GENERAL, user=ANN)
        await slack.settled()

    assert [each.channel_name for each in echo.overheard] == ["general"] * 2
    assert len(slack.calls) == len({call.method for call in slack.calls})


async def test_whom_an_answer_names_by_an_id_has_a_name_in_it(slack: FakeSlack):
    slack.workspace.add(CAROL)
    await platform_of(slack).post(Post(some_inbound(), Reply("Ask U0CAROL01, or <@U0NOBODY99>.")))

    (shown,) = slack.shown(ANNS_DM)
    assert shown.text == f"Ask Carol, or @{unnamed('U0NOBODY99')}."
    assert slack.pinged == []
