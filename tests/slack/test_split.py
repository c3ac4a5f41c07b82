from __future__ import annotations

import re

from dspy_session_slack.outbound.split import LIMIT, to_messages


def test_a_long_answer_breaks_between_paragraphs():
    paragraphs = [f"paragraph {number} " + "word " * 200 for number in range(12)]

    messages = to_messages("\n\n".join(paragraphs))

    assert len(messages) > 2
    assert all(message.startswith("paragraph") and message.endswith("word") for message in messages)
    assert "\n\n".join(messages) == "\n\n".join(paragraph.strip() for paragraph in paragraphs)


def test_a_long_paragraph_breaks_between_lines():
    lines = [f"line {number} " + "word " * 30 for number in range(60)]

    messages = to_messages("\n".join(lines))

    assert all(message.startswith("line") for message in messages)
    assert "\n".join(messages) == "\n".join(line.strip() for line in lines)


def test_a_long_line_breaks_between_words():
    messages = to_messages(" ".join(f"word{number}" for number in range(2000)))

    assert " ".join(messages).split() == [f"word{number}" for number in range(2000)]


def test_a_word_without_end_is_cut_where_it_must_be():
    messages = to_messages("&" * 9000)

    assert all(message.replace("&amp;", "") == "" for message in messages)
    assert sum(message.count("&amp;") for message in messages) == 9000


def test_code_is_fenced_in_every_message():
    lines = [f"line {number} = {number} < {number + 1}" for number in range(500)]

    messages = to_messages("Look:\n\n```python\n" + "\n".join(lines) + "\n```\n\ndone")

    assert len(messages) > 3
    assert all(message.count("```") % 2 == 0 for message in messages)
    shown = [line for message in messages for line in message.split("\n") if line.startswith("line")]
    assert shown == [line.replace("<", "&lt;") for line in lines]


def test_a_quote_is_quoted_in_every_message():
    messages = to_messages("> " + "word " * 3000)

    assert len(messages) > 3
    assert all(message.startswith("> word") for message in messages)


def test_links_and_formatting_are_never_cut():
    answer = " ".join(
        f"and [link {number}](https://example.com/{number}) is *very* **well known**" for number in range(300)
    )

    messages = to_messages(answer)

    links = [link for message in messages for link in re.findall(r"<[^<>]*>", message)]
    assert links == [f"<https://example.com/{number}|link {number}>" for number in range(300)]
    assert all(message.count("*") % 2 == 0 and message.count("_") % 2 == 0 for message in messages)


def test_formatting_without_end_is_dropped():
    messages = to_messages(f"**{'word ' * 1000}end**")

    assert "*" not in "".join(messages)


def test_the_longest_link_has_room():
    (message,) = to_messages(f"[{'l' * 300}](https://example.com/{'a' * 1900})")

    assert message.startswith("<https://")
    assert message.endswith("l>")


def test_a_longer_address_is_written_out():
    messages = to_messages(f"[label](https://example.com/{'a' * 9000})")

    assert messages[0].startswith("label (https://example.com/aaa")
    assert "".join(messages).count("a") > 9000


def test_nesting_without_end_is_shown_as_it_is():
    assert to_messages("> " * 500 + "here") == ["&gt; " * 500 + "here"]
    emphasised = to_messages("*a " * 2000 + "b*" * 2000)
    assert all(len(message) <= LIMIT for message in emphasised)
    assert "".join(emphasised).count("b*") == 2000
