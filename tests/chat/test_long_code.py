"""Code that is too long for one post comes as a file too."""

from __future__ import annotations

import pytest

from dspy_session_chat.markup.long_code import as_files

LINES = "\n".join(f"print({number})" for number in range(100))


def test_only_code_that_does_not_fit_into_a_post_becomes_a_file() -> None:
    text = f"Here:\n\n```python\n{LINES}\n```\n\nand\n\n```python\nprint()\n```"

    (file,) = as_files(text, 500)

    assert (file.name, file.media_type, file.data.decode()) == ("code.py", "text/plain", f"{LINES}\n")
    assert as_files(text, 5000) == []
    assert as_files("word " * 1000, 500) == []


@pytest.mark.parametrize(
    ("language", "name"),
    [("Python", "code.py"), ("bash", "code.sh"), ("json", "code.json"), ("", "code.txt"), ("../x", "code.txt")],
)
def test_a_file_ends_as_its_language_does(language: str, name: str) -> None:
    assert [file.name for file in as_files(f"```{language}\n{LINES}\n```", 500)] == [name]


def test_several_are_numbered_and_one_in_a_quote_loses_its_marks() -> None:
    quoted = "\n".join(f"> {line}" for line in LINES.split("\n"))
    text = f"```sql\n{LINES}\n```\n\n> ```js\n{quoted}\n> ```"

    first, second = as_files(text, 500)

    assert (first.name, second.name) == ("code-1.sql", "code-2.js")
    assert first.data.decode().rstrip() == second.data.decode().rstrip() == LINES
