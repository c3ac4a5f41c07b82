"""What an answer looks like in Discord."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dspy_session_chat.markup.overflow import NOTICE
from dspy_session_chat.reply import Link, Reply
from dspy_session_discord.outbound.layout import REASONING_LIMIT, laid_out, spoiler
from dspy_session_discord.outbound.markup import MESSAGE_LIMIT, length


def test_fields_sources_and_thoughts_stand_beneath_the_words() -> None:
    reply = Reply(
        "It **rains**.",
        table=(("confidence", "high"), ("place", "Ulm,\nBaden")),
        links=(
            Link("https://a.example/ulm", "Weather [Ulm]"),
            Link("", "my notes"),
            Link("https://a.example/b c>"),
        ),
        reasoning="Clouds.\nTherefore rain.",
    )

    (message,), file = laid_out(reply, 8)

    assert message.split("\n") == [
        "It **rains**.",
        "",
        "**confidence:** high",
        "**place:** Ulm, Baden",
        "",
        "1. [Weather (Ulm)](<https://a.example/ulm>)",
        "2. my notes",
        "3. [https://a.example/b c>](<https://a.example/b%20c%3E>)",
        "",
        "||Clouds. Therefore rain.||",
    ]
    assert file is None


def test_words_alone_are_themselves_and_nothing_is_nothing() -> None:
    assert laid_out(Reply("hello"), 8) == (["hello"], None)
    assert laid_out(Reply(" \n"), 8) == ([], None)
    assert laid_out(Reply("", table=(("sum", "4"),)), 8) == (["**sum:** 4"], None)


def test_code_that_was_never_closed_does_not_swallow_what_stands_beneath() -> None:
    reply = Reply("```python\nprint(1)", table=(("sum", "4"),))

    assert laid_out(reply, 8) == (["```python\nprint(1)\n```\n\n**sum:** 4"], None)


def test_thoughts_that_do_not_fit_have_a_message_of_their_own_or_none() -> None:
    words = "x" * (MESSAGE_LIMIT - 10)
    long = Reply(words, reasoning="because")

    assert laid_out(long, 2) == ([words, "||because||"], None)
    assert laid_out(long, 1) == ([words], None)


def test_what_is_too_long_goes_on_in_a_file() -> None:
    reply = Reply("\n\n".join(f"Paragraph {number}: " + "word " * 100 for number in range(20)))
    all_of_it, nothing = laid_out(reply, 20)
    parts, file = laid_out(reply, 2)

    assert nothing is None
    assert len(all_of_it) > 2
    assert len(parts) == 2
    assert parts[0] == all_of_it[0]
    assert parts[1].endswith(NOTICE)
    assert file is not None
    assert (file.name, file.media_type, file.data.decode()) == ("answer.md", "text/markdown", reply.markdown)


@given(st.text(), st.text(), st.integers(1, 4))
def test_every_message_is_one_that_discord_takes(text: str, reasoning: str, most: int) -> None:
    parts, _ = laid_out(Reply(text * 50, reasoning=reasoning * 20, table=((text, reasoning),)), most)

    assert len(parts) <= most
    assert all(part.strip() and length(part) <= MESSAGE_LIMIT for part in parts)
    for part in parts:
        part.encode()  # no request can carry half a surrogate pair


@given(st.text(st.sampled_from("|`\\a \n")) | st.text())
def test_a_spoiler_is_never_opened_from_within(text: str) -> None:
    hidden = spoiler(text)

    assert length(hidden) <= REASONING_LIMIT + 4
    if hidden:
        assert hidden.startswith("||")
        assert hidden.endswith("||")
        assert "||" not in hidden[2:-2]
        assert not hidden[2:-2].endswith(("|", "\\"))
        assert "`" not in hidden
