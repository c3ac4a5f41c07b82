from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.conversation.key import ConversationKey
from dspy_session_chat.inbound import Addressed, Attachment, Author, Inbound
from dspy_session_slack.inbound.translate import translate
from dspy_session_slack.unnamed import unnamed
from tests.slack.payloads import (
    BOT,
    CLASSIC_BOT,
    DELETED_FILE,
    FILE,
    OTHER_BOT,
    SLACKBOT,
    body,
    dm,
    mention,
    message,
    reply,
)

SHARED = ["is_share", "author_id", "author_name", "text", "fallback", "files"]
WHATEVER = st.none() | st.booleans() | st.text() | st.sampled_from(["U00BEN", "<@U00ANN>"]) | st.lists(st.text())
NAMES = {"U00ANN": "Ann", "U00BEN": "Ben", "C00CHAN": "general"}


def test_a_mention_in_a_channel():
    assert translate(body(message("<@U00BOT> is <@U00BEN> in?")), "mention", BOT, NAMES) == Inbound(
        key=ConversationKey("slack", "T00TEAM", "C00CHAN", "1766458026.240809"),
        event_id="C00CHAN:1766458026.240809",
        author=Author("U00ANN", "Ann", workspace="T00TEAM"),
        text="is @Ben in?",
        addressed="mention",
        sent_at=datetime(2025, 12, 23, 2, 47, 6, 240809, tzinfo=UTC),
        channel_name="general",
        reply_to={"channel": "C00CHAN", "thread_ts": "1766458026.240809"},
    )


def test_its_twin_is_the_same_inbound():
    assert translate(body(mention()), "mention", BOT, NAMES) == translate(body(message()), "mention", BOT, NAMES)


def test_a_reply_is_answered_in_its_thread():
    inbound = translate(body(reply()), "thread", BOT, NAMES)

    assert inbound.reply_to == {"channel": "C00CHAN", "thread_ts": "1766458026.240809"}
    assert inbound.event_id == "C00CHAN:1766458031.859009"


def test_a_dm_is_answered_in_the_dm_and_its_thread_in_the_thread():
    inbound = translate(body(dm()), "direct", BOT, NAMES)

    assert (inbound.reply_to, inbound.channel_name) == ({"channel": "D00ANN"}, "")
    threaded = translate(body(dm(thread_ts="1766458000.000100")), "direct", BOT, NAMES)
    assert threaded.reply_to == {"channel": "D00ANN", "thread_ts": "1766458000.000100"}


def test_files_come_along_unless_there_is_nothing_to_fetch():
    inbound = translate(body(dm("", files=[FILE, DELETED_FILE], subtype="file_share")), "direct", BOT, NAMES)

    assert inbound.attachments == (
        Attachment("plan.pdf", "application/pdf", 48213, FILE["url_private_download"], "T00TEAM"),  # type: ignore[arg-type]
    )


def test_what_is_forwarded_is_quoted_and_its_files_come_along():
    share = {
        "is_share": True,
        "is_msg_unfurl": True,
        "author_id": "U00BEN",
        "channel_id": "C00GENERAL",
        "files": [FILE],
    }
    link = {"is_msg_unfurl": True, "author_name": "Ben", "text": "where a link leads"}
    event = dm("<@U00BOT> mend it", attachments=[share | {"text": "<@U00ANN> &amp; I: it is\nbroken."}, link])

    inbound = translate(body(event), "direct", BOT, NAMES)

    assert inbound.text == "mend it\n\n> Forwarded message by Ben:\n> @Ann & I: it is\n> broken."
    assert [attachment.name for attachment in inbound.attachments] == ["plan.pdf"]
    alone = translate(body(dm("", attachments=[share | {"fallback": "broken"}])), "direct", BOT, {})
    assert alone.text == f"> Forwarded message by {unnamed('U00BEN')}:\n> broken"


@given(
    st.none() | st.text() | st.lists(st.none() | st.dictionaries(st.sampled_from(SHARED), WHATEVER)),
    st.sampled_from([{}, NAMES]),
)
def test_what_hangs_on_a_message_may_be_anything(hung: Any, names: dict[str, str]):
    said = translate(body(dm("hello", attachments=hung)), "direct", BOT, names)

    assert said.text.startswith("hello")
    assert all(line.startswith(">") for line in said.text.split("\n")[1:] if line)


def test_whoever_has_no_name_gets_a_word():
    inbound = translate(body(message("<@U00BOT> ask <@U00BEN>")), "mention", BOT, {})

    assert (inbound.author.name, inbound.text, inbound.channel_name) == (
        unnamed("U00ANN"),
        f"ask @{unnamed('U00BEN')}",
        "",
    )


def test_the_bot_amid_a_sentence_has_a_name():
    assert translate(body(dm("is <@U00BOT> a bot?")), "direct", BOT, {}).text == "is @helper a bot?"


@pytest.mark.parametrize(
    ("event", "addressed", "others"),
    [
        (reply("<@U00BEN> what do you think?"), "thread", True),
        (reply("<!subteam^S00OPS|@ops> please look"), "thread", True),
        (reply("and then?"), "thread", False),
        (message("<@U00BEN> lunch?"), "ambient", True),
        (message("<@U00BEN> meet <@U00BOT>"), "mention", False),
        (mention("<@U00BEN> and you, whom only the blocks show"), "mention", False),
    ],
)
def test_a_message_to_somebody_else_says_so(event: dict[str, Any], addressed: Addressed, *, others: bool):
    assert translate(body(event), addressed, BOT, NAMES).mentions_others is others


@pytest.mark.parametrize(
    ("event", "author"),
    [
        (OTHER_BOT, Author("U00CI", unnamed("U00CI"), is_bot=True, workspace="T00TEAM")),
        (CLASSIC_BOT, Author("B00MON", "monitor", is_bot=True, workspace="T00TEAM")),
        (SLACKBOT, Author("USLACKBOT", "Slackbot", is_bot=True, workspace="T00TEAM")),
        ({**OTHER_BOT, "bot_profile": {"name": "CI"}}, Author("U00CI", "CI", is_bot=True, workspace="T00TEAM")),
    ],
)
def test_a_bot_is_told_to_be_one(event: dict[str, Any], author: Author):
    assert translate(body(event), "mention", BOT, {}).author == author


def test_where_the_answer_goes_survives_json():
    inbound = translate(body(reply()), "thread", BOT, NAMES)

    assert replace(inbound, reply_to=json.loads(json.dumps(inbound.reply_to))) == inbound
