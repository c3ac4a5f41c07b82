"""Slash commands: what is meant by one, and the way from Slack and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given as of_all
from hypothesis import settings
from hypothesis import strategies as st
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session_chat.action import Command
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Reply
from dspy_session_chat.rules.access import NOT_HERE, NOT_YOU, Access
from dspy_session_chat.rules.manners import Manners
from dspy_session_chat.testing.scene import playing
from dspy_session_chat.testing.scripted import Parrot
from dspy_session_chat.testing.stage import Where
from dspy_session_slack import Slack
from dspy_session_slack.inbound.shortcut import ASK_ABOUT
from dspy_session_slack.inbound.slash import Ask, Given, Meant, Remark, given, is_ours, meant
from tests.loopback.slack import BOT_SCOPES, FakeSlack, held, rate_limited, refused
from tests.slack.stage import SlackStage
from tests.slack.talk import ANN, ANNS_DM, BEN, GENERAL, Echo, echoing, platform_of, running, some_inbound

ELSEWHERE = "C0ELSEWHERE"


class Usual(NamedTuple):
    """A command of a bot's."""

    name: str
    description: str = "Does something."
    takes: str = ""
    admin: bool = False
    private: bool = False
    aliases: tuple[str, ...] = ()


COMMANDS = (
    *(Usual("help"), Usual("reset"), Usual("undo"), Usual("forget-me"), Usual("weather", aliases=("sky",))),
    Usual("restart", admin=True),
)


def of(name: str, text: str = "", channel: str = ANNS_DM) -> Given:
    return Given(name, text, channel, ANN, "ann", "", "1")


def means(command: Given, manners: Manners | None = None, *, threaded: bool = False) -> Meant:
    return meant(command, COMMANDS, "helper", manners or Manners(), threaded=threaded)


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        (of("ask", "who are you?"), Ask("who are you?")),
        (of("ask-helper", "who?"), Ask("who?")),
        (of("helper-ask", "who?"), Ask("who?")),
        (of("helper", "ask who  are you?"), Ask("who  are you?")),
        (of("helper", "undo 2"), Command("undo", "2")),
        (of("helper", "/Undo"), Command("undo", "")),
        (of("helper", "weather London"), Command("weather", "London")),
        (of("whatever-it-is-called", "new"), Command("new", "")),
        (of("undo", "2"), Command("undo", "2")),
        (of("helper", "sky London"), Command("sky", "London")),
        (of("sky", "London"), Command("sky", "London")),
        (of("weather", "ask"), Command("weather", "ask")),
        (of("helper"), Command("help", "")),
        (of("helper", "help"), Command("help", "")),
    ],
)
def test_what_is_meant(command: Given, meaning: Meant):
    assert means(command) == meaning


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (of("ask"), "Write your question after it: `/ask …`"),
        (of("helper", "ask "), "Write your question after it: `/helper ask …`"),
        (of("helper", "dance `now`"), "I know no command `dance`; `/helper help` says what there is."),
        (of("helper", "/udno 2"), "I know no command `udno`; did you mean `/helper undo`?"),
        (of("helper", "restrat"), "I know no command `restrat`; `/helper help` says what there is."),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(command: Given, told: str):
    assert means(command) == Remark(told)


def test_a_command_about_a_thread_is_for_the_thread_unless_it_is_clear_which_conversation_is_meant():
    undo = of("undo", "2", GENERAL)
    told = Remark("Which thread do you mean? Slack does not tell me: write `@helper /undo 2` in the thread.")

    assert means(undo) == told
    assert means(of("undo", "2"), threaded=True) == told
    assert means(of("forget-me", "", GENERAL)) == Command("forget-me", "")
    for scope in ("channel", "user", "user-in-channel"):
        assert means(undo, Manners(scope=scope)) == Command("undo", "2")
    assert means(of("undo", "2"), Manners(dms="whole"), threaded=True) == Command("undo", "2")


def test_of_an_app_that_others_handle_too_what_is_ours_has_our_names():
    assert [is_ours(of(name, "undo"), COMMANDS, "Helper") for name in ("ask", "undo", "helper", "deploy")] == [
        *(True, True, True),
        False,
    ]


anything = st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=2)
fields = ("command", "text", "channel_id", "user_id", "user_name", "response_url", "trigger_id")


@settings(max_examples=40)
@of_all(st.fixed_dictionaries({}, optional=dict.fromkeys(fields, anything | st.sampled_from(["/ask", "C1", "U1"]))))
def test_a_command_of_any_shape_means_something_or_is_none(body: dict[str, Any]):
    command = given(body)

    assert command is None or isinstance(means(command), Ask | Command | Remark)


# From Slack and back


async def test_a_question_is_said_in_the_channel_and_answered_in_its_thread(slack: FakeSlack):
    async with echoing(slack) as echo:
        asked = "are &lt;you&gt; there, <@U0BEN|ben>?\n<!channel>"
        delivery = await slack.command("/ask", asked, channel=GENERAL, user=ANN)
        question, answer = await slack.next_post(), await slack.next_post()
        await slack.settled()

    assert question.text == "*ann* asks:\n> are &lt;you&gt; there, @Ben?\n> @channel"
    assert (question.pings, question.unfurls, question.thread_ts) == ([], False, None)
    assert (answer.thread_ts, answer.channel) == (question.ts, GENERAL)
    (inbound,) = echo.received
    assert (inbound.text, inbound.addressed, inbound.channel_name) == (
        *("are <you> there, @Ben?\n@channel", "mention"),
        "general",
    )
    assert str(inbound.key) == f"slack:T0LOOPBACK:{GENERAL}:{question.ts}"
    assert delivery.acked.is_set()


async def test_a_question_in_a_dm_belongs_to_the_dm(slack: FakeSlack):
    async with echoing(slack) as echo:
        await slack.command("/helper", "ask who?", channel=ANNS_DM, user=ANN)
        await slack.next_post()
        assert (await slack.next_post()).thread_ts is None

    assert [(str(each.key), each.addressed) for each in echo.received] == [(f"slack:T0LOOPBACK:{ANNS_DM}", "direct")]


async def test_in_the_dm_of_an_agent_each_message_and_each_question_begins_a_thread():
    async with FakeSlack(bot_scopes={*BOT_SCOPES, "assistant:write"}) as slack, echoing(slack):
        said = await slack.say("hello", channel=ANNS_DM, user=ANN)
        assert (await slack.next_post()).thread_ts == said["ts"]
        await slack.command("/ask", "who?", channel=ANNS_DM, user=ANN)
        question, answer = await slack.next_post(), await slack.next_post()

    assert (question.thread_ts, answer.thread_ts) == (None, question.ts)


@pytest.mark.parametrize(
    ("channel", "fault", "told"),
    [
        (ELSEWHERE, None, "I am not in this conversation: write `/invite @helper` here"),
        (GENERAL, refused("is_archived"), "I could not ask that here: the channel #general is archived"),
        (GENERAL, refused("restricted_action"), "a setting of the workspace keeps the bot from posting"),
    ],
)
async def test_a_question_that_cannot_be_said_is_told_to_whoever_asked_alone(
    slack: FakeSlack, channel: str, fault: Any, told: str
):
    if fault is not None:
        slack.fail("chat.postMessage", fault)
    async with echoing(slack) as echo:
        delivery = await slack.command("/ask", "who?", channel=channel, user=ANN)
        await slack.settled()
        await slack.until(lambda: bool(slack.responses.said))

    (said,) = slack.responses.said
    assert told in said["text"]
    assert channel not in said["text"]
    assert (said["response_type"], said["user"], said["channel"]) == ("ephemeral", ANN, channel)
    assert echo.heard == slack.posts == []
    assert delivery.acked.is_set()


async def test_who_may_not_ask_makes_the_bot_say_nothing(slack: FakeSlack):
    platform = platform_of(slack)
    platform.use_access(Access(deny_users=["slack:T0LOOPBACK:" + ANN], deny_channels=[GENERAL]))
    echo = Echo(platform)
    async with running(platform, echo, slack):
        message = await slack.say("one", channel=GENERAL, user=BEN)
        await slack.command("/ask", "who?", channel=GENERAL, user=ANN)
        await slack.command("/ask", "who?", channel=GENERAL, user=BEN)
        await slack.shortcut(ASK_ABOUT, channel=GENERAL, ts=message["ts"], user=ANN)
        await slack.submit(await slack.next_view(), "What?", user=ANN)
        await slack.until(lambda: len(slack.responses.said) == 3)

    told = sorted((said["user"], said["text"]) for said in slack.responses.said)
    assert told == [(ANN, NOT_YOU), (ANN, NOT_YOU), (BEN, NOT_HERE)]
    assert slack.posts == echo.received == []


async def test_slack_is_not_waited_for_longer_than_it_waits_for_us(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dspy_session_slack.inbound.asking.PATIENCE", 0.05)
    slack.fail("chat.postMessage", rate_limited(30))
    async with echoing(slack):
        slack.fail("respond", rate_limited())
        slack.fail("respond", held(go_on := asyncio.Event()))
        delivery = await slack.command("/ask", "who?", channel=GENERAL, user=ANN)
        await delivery.acked.wait()
        assert slack.responses.said == [], "what is told is not waited for either, and comes when Slack takes it"
        go_on.set()
        await slack.until(lambda: bool(slack.responses.said))

    (said,) = slack.responses.said
    assert "I could not ask that here" in said["text"]


async def test_where_the_bot_is_not_it_answers_whoever_gave_the_command(slack: FakeSlack):
    platform = platform_of(slack)
    heard: list[Any] = []

    async def receive(event: Any) -> None:
        heard.append(event)
        await platform.post(Post(event, Reply("It rains.", buttons=(Button("more", "More", "1"),))))

    platform.use_commands(COMMANDS)
    async with running(platform, receive, slack):
        await slack.command("/weather", "London", channel=ELSEWHERE, user=ANN)
        await slack.settled()

    (action,) = heard
    assert (action.deed, action.author.name, action.channel_name) == (Command("weather", "London"), "ann", "elsewhere")
    (said,) = slack.responses.said
    assert said["text"] == "It rains."
    assert [block["type"] for block in said["blocks"]] == ["section", "actions"]


@pytest.mark.parametrize("gone", [True, False])
async def test_what_only_one_shall_read_is_said_where_the_command_was_given(slack: FakeSlack, *, gone: bool):
    platform = platform_of(slack)
    respond = slack.responses.new(GENERAL, ANN)
    if gone:
        slack.responses.expire()
    inbound = some_inbound(GENERAL)
    inbound.reply_to["response_url"] = respond

    posted = await platform.post(Post(inbound, Reply("Only for you.", private=True)))

    assert posted.message_ids == ()
    assert [said["text"] for said in slack.responses.said] == ([] if gone else ["Only for you."])
    assert [post.only_for for post in slack.posts] == ([ANN] if gone else [])


async def test_what_slack_takes_no_more_there_is_said_to_them_otherwise_and_nothing_twice(slack: FakeSlack):
    inbound = some_inbound(GENERAL)
    inbound.reply_to["response_url"] = slack.responses.new(GENERAL, ANN)
    answer = "\n\n".join(f"{number} <!channel> <@U0BEN> @here " + "word " * 1_100 for number in range(7))

    await platform_of(slack).post(Post(inbound, Reply(answer, private=True)))

    numbers = [said["text"][0] for said in slack.responses.said], [post.text[0] for post in slack.posts]
    assert numbers == (["0", "1", "2", "3", "4"], ["5", "6"])
    assert slack.pinged == []
    assert {post.only_for for post in slack.posts} == {ANN}


async def test_a_command_that_could_not_be_answered_there_is_told_as_any_other(slack: FakeSlack):
    inbound = some_inbound("C0NOWHERE")
    inbound.reply_to["response_url"] = "http://127.0.0.1:9/gone"

    with pytest.raises(Exception, match="Slack does not know the channel C0NOWHERE"):
        await platform_of(slack).post(Post(inbound, Reply("Nine.")))


async def test_a_joined_app_keeps_its_own_commands(slack: FakeSlack):
    app = AsyncApp(client=AsyncWebClient(base_url=slack.base_url, token=slack.bot_token))
    theirs: list[str] = []

    async def deploy(ack: Any, command: dict[str, Any]) -> None:
        await ack()
        theirs.append(command["text"])

    app.command("/deploy")(deploy)
    platform = Slack(app=app, app_token=slack.app_token, ping_interval=0.5)
    heard: list[Any] = []

    async def receive(event: Any) -> None:
        heard.append(event)

    async with running(platform, receive, slack):
        await slack.command("/deploy", "stop", channel=ANNS_DM, user=ANN)
        await slack.command("/helper", "stop", channel=ANNS_DM, user=ANN)
        await slack.settled()

    assert theirs == ["stop"]
    assert [event.deed for event in heard] == [Command("stop", "")]


async def test_a_bot_is_told_by_commands_what_it_is_told_by_words(slack: FakeSlack, tmp_path: Path):
    stage, channel = SlackStage(slack), Where(GENERAL)
    async with playing(stage, Parrot(), tmp_path, access=Access(deny_channels=[ELSEWHERE])) as scene:
        await stage.command(scene.ann, "ask", "tea", Where(ELSEWHERE))
        assert (await scene.reads(NOT_HERE, Where(ELSEWHERE))).private_to == scene.ann.id
        await stage.command(scene.ann, "undo", "", channel)
        await scene.reads("Which thread do you mean?", channel)
        await stage.command(scene.ben, "help", "", channel)
        assert (await scene.reads("/forget-me", channel)).private_to == scene.ben.id
        await stage.command(scene.ann, "ask", "tea", channel)
        question = await scene.reads("asks:", channel)
        thread = Where(GENERAL, question.id.partition(":")[2])
        await scene.reads("tea (0 before)", thread)
        assert "(1 before)" in (await scene.ask("milk", thread)).text


async def test_people_read_how_slack_lets_them_write_a_command(slack: FakeSlack, tmp_path: Path):
    async with playing(SlackStage(slack), Parrot(), tmp_path) as scene:
        for said, read in [
            ("", "Write to me, and I answer; `@helper /help` says what else I know."),
            ("/help", "I also know, written like `@helper /help`:"),
            ("/undo many", "from 1 to 100: `@helper /undo 2`."),
            ("/forget-me", "write `@helper /forget-me yes`."),
        ]:
            await scene.say(said, mention=True)
            await scene.reads(read)
