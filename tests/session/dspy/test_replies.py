"""The beginning of a field in the beginning of a reply."""

from __future__ import annotations

import pytest

from dspy_session.replies import in_json, in_sections, in_tags


@pytest.mark.parametrize(
    ("reply", "reading"),
    [
        ("", ("", False)),
        ("Sure! [[ ## answer ## ]] no header", ("", False)),
        ("[[ ## answer ## ]]", ("", False)),
        ("[[ ## answer ## ]]\n  one ", ("one", False)),
        ("[[ ## answer ## ]] one", ("one", False)),
        ("[[ ## answer ## ]]\none\n", ("one", False)),
        ("[[ ## answer ## ]]\none\n[", ("one", False)),
        ("[[ ## answer ## ]]\none\n[[ ## comp", ("one", False)),
        ("[[ ## answer ## ]]\none\n[[ ## completed ##", ("one", False)),
        ("[[ ## answer ## ]]\none\n[[ ## completed ## ]]", ("one", True)),
        ("[[ ## answer ## ]]\none\n[[wiki]] and [[ ##", ("one\n[[wiki]] and [[ ##", False)),
        ("[[ ## answer ## ]]\nsee [[ ## x ## ]] there\n\n  [[ ## mood ## ]]\nfine", ("see [[ ## x ## ]] there", True)),
        ("[[ ## thought ## ]]\nhm\n\n[[ ## answer ## ]]\none", ("one", False)),
    ],
)
def test_in_sections(reply: str, reading: tuple[str, bool]) -> None:
    assert in_sections(reply, "answer") == reading


@pytest.mark.parametrize(
    ("reply", "reading"),
    [
        ("", ("", False)),
        ("{", ("", False)),
        ('{"answer": ', ("", False)),
        ('{"answer": "', ("", False)),
        ('{"answer": "on', ("on", False)),
        ('{"answer": "a\\', ("a", False)),
        ('{"answer": "a\\u00', ("a", False)),
        ('{"answer": "a\\n\\"b\\""', ('a\n"b"', False)),
        ('{"answer": "one", "mood', ("one", False)),
        ('{"answer": "one", "mood": "f', ("one", True)),
        ('{"answer": "one"}', ("one", True)),
        ('```json\n{"thought": "{", "answer": "one"}\n```', ("one", False)),
        ('{"answer": [1, 2', ("", False)),
        ('{"answer": [1, 2], "mood": "f', ("[1, 2]", True)),
        ('{"answer": {"é": 1}}', ('{"é": 1}', True)),
        ('{"answer": tru', ("", False)),
        ('{"answer": "a\nb"', ("", False)),
        ("{answer: one}", ("", False)),
    ],
)
def test_in_json(reply: str, reading: tuple[str, bool]) -> None:
    assert in_json(reply, "answer") == reading


@pytest.mark.parametrize(
    ("reply", "reading"),
    [
        ("", ("", False)),
        ("<answer", ("", False)),
        ("<answer>\n one ", ("one", False)),
        ("<answer>\none\n<", ("one", False)),
        ("<answer>\none\n</ans", ("one", False)),
        ("<answer>\none\n</answer>", ("one", True)),
        ("<answer>a &lt; b &amp;&amp; c &#33;&#x3f;", ("a < b && c !?", False)),
        ("<answer>AT&am", ("AT", False)),
        ("<answer>a <b>bold</b> word", ("a <b>bold</b> word", False)),
        ("<thought>hm</thought>\n<answer>one</answer>\n<mood>", ("one", True)),
    ],
)
def test_in_tags(reply: str, reading: tuple[str, bool]) -> None:
    assert in_tags(reply, "answer") == reading
