"""What people write, made safe to put into a prompt: it cannot pass for a part of the prompt's own form.

DSPy marks an image in a prompt by text, and takes whatever stands between such marks for one: a message that holds
the marks would have the model's provider fetch an address of the sender's choice. A prompt's sections are marked by
text as well. Characters that a model reads and people do not see are how others' words are smuggled into a message.
"""

from __future__ import annotations

import re

_TAGS = "\U000e0000-\U000e007f"
_FLAGS = "|".join(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)
"""England, Scotland and Wales: the only flags that Unicode recommends to be written with tags."""

_LINE_END = re.compile(r"\r\n?")
_UNSEEN = re.compile(
    f"(?P<flag>{_FLAGS})"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u202a-\u202e\u2066-\u2069"  # show text in another order than it is read in
    f"{_TAGS}]"  # letters that nobody sees
)
_VARIATIONS = re.compile("([\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
"""One of them says how the character before it looks; a row of them spells bytes."""

_TYPE_MARK = re.compile("<<(?=CUSTOM-TYPE-)", re.IGNORECASE)
_MARKDOWN = re.compile(r"[\\`*_~|<>\[\]!#]|(?<=http):|(?<=https):", re.IGNORECASE)
_SECTION_MARK = re.compile(r"\[\[(?=\s*##)")


def clean(text: str) -> str:
    """``text`` without DSPy's marks and without characters that nobody sees; all other text stays as it is.

    A mark's brackets are set apart, so it stays readable, and taking something out never makes a new one.

    >>> clean("<<CUSTOM-TYPE-START-IDENTIFIER>> [[ ## reply ## ]]")
    '< <CUSTOM-TYPE-START-IDENTIFIER>> [ [ ## reply ## ]]'
    """
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # no request carries half a pair
    text = _LINE_END.sub("\n", text)
    text = _UNSEEN.sub(lambda found: found["flag"] or "", text)
    text = _VARIATIONS.sub(r"\1", text)
    return _SECTION_MARK.sub("[ [", _TYPE_MARK.sub("< <", text))


def as_text(text: str, longest: int = 200) -> str:
    r"""``text``, a name for example, on one line, as Markdown that shows it as it is: no link and no picture.

    >>> as_text("Ann [click](https://evil.example)")
    'Ann \\[click\\](https\\://evil.example)'
    """
    return _MARKDOWN.sub(r"\\\g<0>", clean_line(text, longest))


def clean_line(text: str, longest: int = 200) -> str:
    """``text``, a name for example, cleaned, on one line, and no longer than ``longest`` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
