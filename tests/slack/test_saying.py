"""The ways in which a message is said: each harmless, each what Slack takes, and the words in all of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Reply
from dspy_session_slack.outbound.harmless import harmless
from dspy_session_slack.outbound.saying import LIMIT, Saying, parts, sayings, unsupported
from dspy_session_slack.outbound.tables import shaped
from dspy_session_slack.unnamed import unnamed
from tests.loopback.slack import FakeSlack, refused
from tests.loopback.slack.blocks import check_blocks, words_of
from tests.loopback.slack.chat import pings
from tests.slack.talk import ANN, ANNS_DM, platform_of, some_inbound

RETRY = Button("retry", "Retry", "t1")
GOOD, BAD = Button("good", "👍", "t1"), Button("bad", "👎", "t1", asks="What was wrong?")
TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"

loud = st.sampled_from(
    [
        *("<!channel>", "<!here|here>", "<@U0ANN>", "<@U0ANN|ann>", "<#C0GENERAL>", "<!subteam^S012|@team>"),
        *("@channel", "<!date^1|x>", "<", "@", "!", "U0ANN>", "|", "`", "```\n", "**", "\n", "&lt;", TABLE),
        "[a](https://a.example)",
    ]
)
hostile = st.lists(loud | st.text(max_size=8), max_size=12).map("".join)


def seen(saying: Saying) -> str:
    return "\n".join(words for words, _ in words_of(saying.blocks)) if saying.blocks else saying.text


@given(hostile)
def test_whichever_way_it_is_said_nobody_is_notified_and_slack_takes_it(text: str):
    for part in parts(text):
        for saying in sayings(part, [RETRY, GOOD, BAD]):
            assert pings(saying.text, plain=False) == []
            assert 0 < len(saying.text) <= 3_000
            for words, markdown in words_of(saying.blocks):
                assert pings(words, plain=markdown) == []
            if saying.blocks:
                check_blocks(saying.blocks)


@given(hostile)
def test_harmless_once_is_harmless_for_good(text: str):
    once = harmless(text, {"U0ANN": "Ann <!channel>"})

    assert harmless(once) == once
    assert pings(once, plain=True) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<@U0ANN> and <@U0BEN|ben> in <#C1>", f"@Ann and @ben in #{unnamed('C1')}"),
        ("<!subteam^S1|@team> <!subteam^S1> <!date^1^{date}|today>", f"@team @_{unnamed('S1')} today"),
        ("a@here.example and @here", "a@here.example and @_here"),
        ("<@U0AN", "<_@U0AN"),
        ("<!-- no --> <!DOCTYPE html> 1 < 2", "<!-- no --> <!DOCTYPE html> 1 < 2"),
    ],
)
def test_mentions_are_read_out(text: str, said: str):
    assert harmless(text, {"U0ANN": "Ann"}).replace("\u200b", "_") == said


def test_the_best_way_comes_first_and_the_words_are_in_each():
    ways = list(sayings("**Nine** & <ten>", [RETRY, GOOD, BAD]))

    assert [[block["type"] for block in way.blocks] for way in ways] == [
        ["markdown", "actions", "context_actions"],
        ["markdown", "actions"],
        ["section", "actions"],
        [],
    ]
    assert [seen(way) for way in ways] == ["**Nine** & <ten>"] * 2 + ["*Nine* &amp; &lt;ten&gt;"] * 2
    assert [len(way.blocks) for way in sayings("Nine", lacks={"markdown", "context_actions"})] == [0]
    assert next(sayings(" ")).text == "…"


@settings(max_examples=20)
@given(st.text(alphabet="word &<\n`*|-", max_size=40).map(lambda text: text * 300))
def test_a_part_is_said_whole_in_either_way(text: str):
    for part in parts(text):
        *_, plain = sayings(part)
        if plain.blocks:
            check_blocks(plain.blocks)


def test_an_answer_is_split_by_what_it_is_when_it_is_escaped():
    assert [len(part) for part in parts("&" * 3_200)] == [LIMIT // 5, LIMIT // 5, 800]


def test_one_table_is_slacks_to_show_and_several_are_code():
    assert shaped(f"Look:\n\n{TABLE}\n\ndone") == f"Look:\n\n{TABLE}\n\ndone"
    several = shaped(f"{TABLE}\n\nand\n\n{TABLE}")
    assert several.count("```\na | b\n--+--\n1 | 2\n```") == 2
    assert "and" in several
    assert not re.search(r"^\|", several, re.MULTILINE)


@pytest.mark.parametrize("text", ["> " * 900 + "a | b", "*a " * 900 + "b* |" * 900, "[" * 2_000 + "|"])
def test_what_is_nested_beyond_all_sense_is_said_all_the_same(text: str):
    for part in parts(text):
        for saying in sayings(part, [RETRY]):
            check_blocks(saying.blocks)


def test_what_slack_does_not_know_is_read_from_its_refusal():
    told = {"response_metadata": {"messages": ["[ERROR] unsupported type: markdown [json-pointer:/blocks/0/type]", 7]}}

    assert unsupported(told) == {"markdown"}
    assert unsupported({"response_metadata": {"messages": ["[ERROR] unsupported type: nonsense"]}}) == set()
    assert unsupported({"response_metadata": 7}) == set()


async def test_what_slack_does_not_know_is_not_offered_again(slack: FakeSlack):
    platform = platform_of(slack)
    unknown = refused("invalid_blocks", response_metadata={"messages": ["[ERROR] unsupported type: markdown"]})
    slack.fail("chat.postMessage", unknown, times=2)
    for _ in range(2):
        await platform.post(Post(some_inbound(), Reply("**Nine**", buttons=(RETRY, GOOD, BAD))))

    assert [(each.text, each.buttons) for each in slack.shown(ANNS_DM)] == [("*Nine*", ("Retry", "👍", "👎"))] * 2
    assert len(slack.called("chat.postMessage")) == 4


async def test_an_answer_is_rated_by_slacks_own_buttons(slack: FakeSlack):
    platform = platform_of(slack)
    await platform.post(Post(some_inbound(), Reply("**Nine**", buttons=(RETRY, GOOD, BAD))))

    (shown,) = slack.shown(ANNS_DM)
    assert (shown.text, shown.buttons) == ("**Nine**", ("Retry", "👍", "👎"))
    message = slack.workspace.channels[ANNS_DM].message(shown.ts)
    assert message is not None
    assert message["blocks"][-1]["elements"][0]["type"] == "feedback_buttons"
    assert ANN not in shown.text
