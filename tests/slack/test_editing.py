"""Answers that are shown while they are written, and made right at the end."""

from __future__ import annotations

import asyncio
import html
from contextlib import ExitStack
from typing import Any

import pytest

from dspy_session.errors import PlatformError
from dspy_session_chat.growing import CanEdit, Growing
from dspy_session_chat.platform import Post, RefusedInPartError
from dspy_session_chat.reply import Button, Reply
from dspy_session_slack.outbound.pace import Pace
from dspy_session_slack.outbound.streaming import PACE, SHARE
from dspy_session_slack.platform import EDIT_SECONDS
from tests.loopback.slack import FakeSlack, rate_limited, refused
from tests.slack.talk import ANN, ANNS_DM, GENERAL, platform_of, some_inbound

STOP = Button("stop", "Stop", about="m1", style="danger")
GOOD = Button("good", "👍", about="t1")
INBOUND = some_inbound()


def paragraphs(count: int) -> str:
    """An answer of so many messages."""
    return "\n\n".join(f"{number} " + "word " * 1_000 for number in range(count))


def shown(slack: FakeSlack, channel: str = ANNS_DM) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.text.split()[0], each.buttons) for each in slack.shown(channel)]


def test_slack_can_edit_once_in_a_while(slack: FakeSlack):
    platform = platform_of(slack)

    assert isinstance(platform, CanEdit)
    assert platform.edit_seconds >= 60 / 50


@pytest.mark.parametrize(
    ("alone", "share", "a_minute"),
    [pytest.param(EDIT_SECONDS, 1, 50, id="edits"), pytest.param(PACE, SHARE, 100, id="appends")],
)
def test_answers_that_grow_at_once_share_what_slack_takes(alone: float, share: float, a_minute: int):
    pace = Pace()
    assert pace.seconds(alone, share) == alone
    with ExitStack() as growing:
        for count in range(1, 9):
            growing.enter_context(pace.shared())
            assert count * 60 / pace.seconds(alone, share) <= a_minute + 0.001
    assert pace.seconds(alone, share) == alone


async def test_what_grows_is_counted_in_its_workspace(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch):
    counted: list[float] = []
    seconds = Pace.seconds

    def of_one(pace: Pace, alone: float, share: float = 1.0) -> float:
        counted.append(seconds(pace, 1.0))
        return alone * share * 0.0

    monkeypatch.setattr(Pace, "seconds", of_one)
    platform = platform_of(slack)

    async def ours() -> bool:
        return True

    async def told(ids: tuple[str, ...]) -> None:
        assert ids

    growing = Growing(INBOUND, (), str, (), told, ours)
    async with platform.stream(growing) as one, platform.stream(growing) as other:
        await one.append("one")
        await other.append("two")
        await slack.next_post()
        await slack.next_post()

    assert counted
    assert set(counted) == {2.0}


async def test_what_slack_does_not_take_for_now_is_left_out_while_an_answer_grows(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dspy_session_slack.platform.EDIT_SECONDS", 0.0)
    platform, shows = platform_of(slack), asyncio.Event()

    async def ours() -> bool:
        return True

    async def told(ids: tuple[str, ...]) -> None:
        shows.set()

    async with platform.stream(Growing(INBOUND, (), str, (), told, ours)) as stream:
        await stream.append("one ")
        await shows.wait()
        slack.fail("chat.update", rate_limited(retry_after=3_600))
        await stream.append("two ")
        await slack.until(lambda: len(slack.called("chat.update")) == 1)
        await stream.append("three ")
    await platform.post(Post(INBOUND, Reply("one two three four"), stream.message_ids))

    assert [text for text, _ in shown(slack)] == ["one"]
    assert [each.text for each in slack.shown(ANNS_DM)] == ["one two three four"]
    assert len(slack.called("chat.update")) == 2


async def test_an_answer_grows(slack: FakeSlack):
    platform = platform_of(slack)

    (first,) = platform.parts("**one**")
    message = await platform.begin(INBOUND, first, [STOP])
    assert [(each.text, each.buttons) for each in slack.shown(ANNS_DM)] == [("**one**", ("Stop",))]
    (more,) = platform.parts("**one** <!channel> & two")
    await platform.edit(INBOUND, message, more, [STOP])

    assert [(each.text, each.buttons) for each in slack.shown(ANNS_DM)] == [
        ("**one** @\u200bchannel &amp; two", ("Stop",))
    ]


async def test_what_is_edited_pings_nobody_and_fetches_nothing(slack: FakeSlack):
    platform = platform_of(slack)
    message = await platform.begin(INBOUND, "one")
    await platform.edit(INBOUND, message, "@here https://example.com")

    for method in ("chat.postMessage", "chat.update"):
        (call,) = slack.called(method)
        assert (call.get("parse"), call.flag("link_names", default=True)) == ("none", False)
        assert not call.flag("unfurl_links", default=True)
        assert not call.flag("unfurl_media", default=True)


async def test_an_edit_without_buttons_takes_them_away_and_the_old_words_with_them(slack: FakeSlack):
    platform = platform_of(slack)
    message = await platform.begin(INBOUND, "one", [STOP])
    await platform.edit(INBOUND, message, "two")

    assert [(each.text, each.buttons) for each in slack.shown(ANNS_DM)] == [("two", ())]


async def test_a_message_that_says_nothing_yet_is_there_all_the_same(slack: FakeSlack):
    await platform_of(slack).begin(INBOUND, "", [STOP])

    assert [(each.text, each.buttons) for each in slack.shown(ANNS_DM)] == [("…", ("Stop",))]


async def test_a_full_part_shows_whole_above_its_buttons(slack: FakeSlack):
    platform = platform_of(slack)
    parts = platform.parts("&" * 1_600 + "\n\n" + "[a link](https://example.com/?a&b) `code` " * 100)
    for part in parts:
        await platform.begin(INBOUND, part, [STOP])

    assert len(parts) > 1
    assert [html.unescape(each.text) for each in slack.shown(ANNS_DM)] == list(parts)


async def test_an_edit_of_what_is_gone_is_told(slack: FakeSlack):
    with pytest.raises(PlatformError, match="message_not_found"):
        await platform_of(slack).edit(INBOUND, f"{ANNS_DM}:1.1", "one")


async def test_at_the_end_what_is_shown_says_the_answer_and_the_rest_is_posted(slack: FakeSlack):
    platform = platform_of(slack)
    ids = [await platform.begin(INBOUND, "draft"), await platform.begin(INBOUND, "draft", [STOP])]

    posted = await platform.post(Post(INBOUND, Reply(paragraphs(3), buttons=(GOOD,)), shown=tuple(ids)))

    assert shown(slack) == [("0", ()), ("1", ()), ("2", ("👍",))]
    assert posted.message_ids[:2] == tuple(ids)
    assert posted.message_ids == tuple(f"{ANNS_DM}:{each.ts}" for each in slack.shown(ANNS_DM))


async def test_what_was_shown_too_much_goes(slack: FakeSlack):
    platform = platform_of(slack)
    ids = [await platform.begin(INBOUND, "draft", [STOP]) for _ in range(3)]

    posted = await platform.post(Post(INBOUND, Reply("Nine."), shown=tuple(ids)))

    assert posted.message_ids == (ids[0],)
    assert shown(slack) == [("Nine.", ())]


async def test_what_cannot_be_deleted_is_no_reason_to_post_again(slack: FakeSlack):
    platform = platform_of(slack)
    ids = [await platform.begin(INBOUND, "draft") for _ in range(2)]
    slack.fail("chat.delete", refused("cant_delete_message"))

    assert (await platform.post(Post(INBOUND, Reply("Nine."), shown=tuple(ids)))).message_ids == (ids[0],)


@pytest.mark.parametrize("code", ["message_not_found", "edit_window_closed", "cant_update_message"])
async def test_what_cannot_be_edited_any_more_is_posted(slack: FakeSlack, code: str):
    platform = platform_of(slack)
    message = await platform.begin(INBOUND, "draft")
    slack.fail("chat.update", refused(code))

    posted = await platform.post(Post(INBOUND, Reply("Nine."), shown=(message,)))

    assert posted.message_ids != (message,)
    assert slack.shown(ANNS_DM)[-1].text == "Nine."


@pytest.mark.parametrize(("limit", "most", "buttons"), [("ALL_BLOCKS", 2_000, ("👍",)), ("MOST_BLOCKS", 0, ())])
async def test_what_slack_finds_too_long_is_said_in_shorter_messages(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, buttons: tuple[str, ...]
):
    platform, answer = platform_of(slack), paragraphs(2)
    draft = await platform.begin(INBOUND, "draft", [STOP])
    monkeypatch.setattr(f"tests.loopback.slack.blocks.{limit}", most)  # less than Slack says it takes

    posted = await platform.post(Post(INBOUND, Reply(answer, buttons=(GOOD,)), shown=(draft,)))

    messages = slack.shown(ANNS_DM)
    assert len(messages) > 3
    assert posted.message_ids == (draft, *(f"{ANNS_DM}:{each.ts}" for each in messages[1:]))
    assert " ".join(each.text for each in messages).split() == answer.split()
    assert [each.buttons for each in messages] == [()] * (len(messages) - 1) + [buttons]
    slack.fail("chat.postMessage", refused("msg_too_long"), times=99)
    with pytest.raises(PlatformError, match=r"Slack finds the message too long \(msg_too_long\)"):
        await platform.post(Post(INBOUND, Reply(answer)))


async def test_a_lasting_refusal_of_an_edit_is_told(slack: FakeSlack):
    platform = platform_of(slack)
    message = await platform.begin(INBOUND, "draft")
    slack.fail("chat.update", refused("token_revoked"))

    with pytest.raises(RefusedInPartError, match="the bot token is not accepted") as told:
        await platform.post(Post(INBOUND, Reply("Nine."), shown=(message,)))
    assert told.value.message_ids == (message,)


async def test_the_words_come_without_buttons_rather_than_not_at_all(slack: FakeSlack):
    slack.fail("chat.postMessage", refused("invalid_blocks"), times=2)

    await platform_of(slack).post(Post(INBOUND, Reply("Nine.", buttons=(GOOD,))))

    assert shown(slack) == [("Nine.", ())]


async def test_another_refusal_has_nothing_to_do_with_the_buttons(slack: FakeSlack):
    slack.fail("chat.postMessage", refused("is_archived"))

    with pytest.raises(PlatformError, match="is archived"):
        await platform_of(slack).post(Post(INBOUND, Reply("Nine.", buttons=(GOOD,))))
    assert len(slack.called("chat.postMessage")) == 1


@pytest.mark.parametrize(
    ("options", "seen"),
    [({"channel": GENERAL}, True), ({"channel": ANNS_DM}, False)],
)
async def test_a_private_answer_is_for_one_alone(slack: FakeSlack, options: dict[str, Any], *, seen: bool):
    root = await slack.say("go", channel=options["channel"], user=ANN)
    inbound = some_inbound(options["channel"], root["ts"])

    posted = await platform_of(slack).post(Post(inbound, Reply("Nine.", buttons=(GOOD,), private=True)))

    (post,) = slack.posts
    assert (post.text, post.thread_ts, post.only_for) == ("Nine.", root["ts"], ANN if seen else "")
    assert bool(posted.message_ids) is not seen
    assert not post.unfurls
    assert post.pings == []


async def test_a_private_answer_to_somebody_who_left_is_told(slack: FakeSlack):
    slack.workspace.channels[GENERAL].members.remove(ANN)

    with pytest.raises(PlatformError, match="user_not_in_channel"):
        await platform_of(slack).post(Post(some_inbound(GENERAL), Reply("Nine.", private=True)))
