"""An answer carries nothing out by itself, and no link says that it leads elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dspy_session_chat.markup.outward import LONGEST, outward
from tests.work import lines_run

EVIL = "https://evil.example/?q=secret"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (f"![a chart]({EVIL})", f"[a chart]({EVIL})"),
        (f'![a chart](<{EVIL}> "title")', f'[a chart](<{EVIL}> "title")'),
        (f"![]({EVIL})", f"[image]({EVIL})"),
        (f"wow!!![a]({EVIL})", f"wow!\\![a]({EVIL})"),
        (f"\\![a]({EVIL})", f"\\![a]({EVIL})"),
        (f"\\\\![a]({EVIL})", f"\\\\[a]({EVIL})"),
        (f"> ![two\n> lines]({EVIL})", f"> [two\n> lines]({EVIL})"),
        (f"[![badge]({EVIL})](https://ok.example)", "[badge](https://ok.example)"),
        (f"![a [b](https://ok.example) c]({EVIL})", f"[a b c]({EVIL})"),
        (f"![a][r]\n\n[r]: {EVIL}", f"[a][r]\n\n[r]: {EVIL}"),
        (f"![r][] ![r]\n\n[r]: {EVIL}", f"[r][] [r]\n\n[r]: {EVIL}"),
        (f'<img src="{EVIL}" alt="a *chart*">', f"[a \\*chart\\*]({EVIL})"),
        (f"<IMG\nSRC={EVIL}>", f"[image]({EVIL})"),
        ("<img src=data:image/png;base64,AAAA>", "image"),
        (f'<iframe src="{EVIL}"></iframe>', f'\\<iframe src="{EVIL}">\\</iframe>'),
        (f"<img src={EVIL}", f"\\<img src={EVIL}"),
        ("![a](data:image/png;base64,AAAA)", "a"),
    ],
)
def test_an_image_is_a_link(written: str, shown: str) -> None:
    assert outward(written) == shown
    assert outward(shown) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (f"[https://bank.example]({EVIL})", f"[https://bank.example (evil.example)]({EVIL})"),
        (f"[**bank.example**/login]({EVIL})", f"[**bank.example**/login (evil.example)]({EVIL})"),
        (f"[log in at www.bank.example now]({EVIL})", f"[log in at www.bank.example now (evil.example)]({EVIL})"),
        (f"[bank&#46;example]({EVIL})", f"[bank&#46;example (evil.example)]({EVIL})"),
        (f"[\uff42\uff41\uff4e\uff4b。example]({EVIL})", f"[\uff42\uff41\uff4e\uff4b。example (evil.example)]({EVIL})"),
        (f"[https://bank\u200b.example]({EVIL})", f"[https://bank\u200b.example (evil.example)]({EVIL})"),
        (f"[https://bank.example][r]\n\n[r]: {EVIL}", f"[https://bank.example (evil.example)]({EVIL})\n\n[r]: {EVIL}"),
        ("[https://bank.example](//evil.example)", "[https://bank.example (evil.example)](//evil.example)"),
        ("[ann@bank.example](mailto:a@evil.example)", "[ann@bank.example (a@evil.example)](mailto:a@evil.example)"),
        ("[x](https://bank.example@evil.example/a)", "[x](https://evil.example/a)"),
        ("<https://bank.example@evil.example/a>", "<https://evil.example/a>"),
        ("see https://bank.example@evil.example/a", "see https://evil.example/a"),
        ("see https://bank.example<@evil.example/a", "see https://bank.example< @evil.example/a"),
        ("see https://bank.example`@evil.example/a", "see https://bank.example` @evil.example/a"),
        ("[https://bank.example](https://evil.example\\\\@bank.example)", "https://bank.example"),
        (f"[]({EVIL})", f"[evil.example]({EVIL})"),
        (f"[\u200b&nbsp;\u3164]({EVIL})", f"[evil.example]({EVIL})"),
        (f"[ ][r]\n\n[r]: {EVIL}", f"[evil.example]({EVIL})\n\n[r]: {EVIL}"),
        ("[x](javascript:alert(1))", "x"),
        ("[x](Java&Tab;script:alert(1))", "x"),
        ("[](javascript:alert(1))", "link"),
        ("[x](file:///etc/passwd) [y](data:text/html,z)", "x y"),
        ("[x][r]\n\n[r]: javascript:alert(1)", "x\n\n[r]: javascript:alert(1)"),
        ("<javascript:alert(1)>", "\\<javascript:alert(1)>"),
        ("[[https://bank.example](javascript:x)](https://evil.example)", None),
    ],
)
def test_a_link_is_what_it_says(written: str, shown: str | None) -> None:
    if shown is not None:
        assert outward(written) == shown
    assert outward(outward(written)) == outward(written)
    assert list(wrongs(outward(written))) == []


@pytest.mark.parametrize(
    "text",
    [
        "plain, arr[0][1] < 3 > x, wow![1], vector<int>, a@b.example",
        '[docs](https://ok.example/a_(b) "title") and <https://ok.example> and https://ok.example/a@b',
        "[https://www.ok.example/a](https://ok.example/a) [ok.example](https://www.ok.example)",
        "[Node.js](https://nodejs.example) [os.path](https://docs.example) [README.md](https://git.example/x/README.md)",
        "[a](#part) [b](../c.md) <ann@ok.example> [mail](mailto:ann@ok.example?subject=x)",
        f"`![a]({EVIL})` ``a ` ![b]({EVIL})``",
        f"```md\n![a]({EVIL})\n```\n\n- x\n\n  ~~~\n  [https://bank.example]({EVIL})\n  ~~~",
        "- [ ] open\n- [x] done [^1]\n\n[^1]: a note",
        "<@U123> <:smile:123> <t:123:R> <br>",
        "half a [link](https://ok.exam",
    ],
)
def test_what_is_honest_stays_as_it_is(text: str) -> None:
    assert outward(text) == text


def test_images_of_hosts_that_are_allowed_stay() -> None:
    ours = "![a](https://img.ok.example/a.png) <img src='https://cdn.ok.example/b.png'>"
    assert outward(ours, ("img.ok.example", "*.ok.example")) == ours
    assert outward("![a](https://ok.example/)", ("*.ok.example",)) == "[a](https://ok.example/)"
    assert outward("![a](https://evilok.example/)", ("*.ok.example",)) == "[a](https://evilok.example/)"
    assert outward("![a](https://img.ok.example@evil.example)", ("img.ok.example",)) == "[a](https://evil.example)"
    assert "![" not in outward(f"![[a](https://img.ok.example)]({EVIL})", ("img.ok.example",))


def test_what_was_written_to_be_misread_is_shown_as_it_was_written() -> None:
    assert outward(f"| a | b |\n|--|--|\n| `x | ![y]({EVIL}) | `b |") == (
        f"| a | b |\n|--|--|\n| `x | !\\[y]({EVIL}) | `b |"
    )
    assert outward("[" * 5_000 + "x" + f"]({EVIL})" * 5_000).startswith("\\[\\[" * 100)
    assert outward(f"![a]({EVIL})" + " " * LONGEST) == f"!\\[a]({EVIL})" + " " * LONGEST


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "![",
        "[a](",
        "`",
        "`` ` ",
        "<img ",
        "<a:",
        "[a](https://ok.example) ",
        "\\",
        "> ",
        "](",
        "https://x@",
        "*a_",
        "[a](https://ok.example) <base https://x@",
    ],
)
def test_an_answer_twice_as_long_is_twice_the_work(unit: str) -> None:
    short, long = (unit * (size // len(unit)) + "[x](https://ok.example)" for size in (1_000, 2_000))
    outward(short)  # what is made once is made
    assert lines_run(lambda: outward(long)) < 2.5 * lines_run(lambda: outward(short))


@pytest.mark.parametrize("unit", ["![", "[", "\\\\[", "> ["])
def test_brackets_that_are_never_closed_hold_nobody_up(unit: str) -> None:
    text = (unit * 300 + "\n\n") * 3
    outward(text)  # what is made once is made
    assert lines_run(lambda: outward(text)) < 20 * len(text)


def test_threads_do_not_get_into_each_others_way() -> None:
    texts = [f"[{number}](https://ok.example/{number}) https://ok.example ![a]({EVIL})\n\n" * 40 for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outward, texts)) == [text.replace("![a]", "[a]") for text in texts]


def test_what_opens_many_brackets_reads_the_same_without_links() -> None:
    intervals = "[0, 1), " * 30
    assert outward(f"{intervals}[a]({EVIL})") == f"{intervals}[a]({EVIL})".replace("[", "\\[")


PIECES = [
    "[",
    "]",
    "(",
    ")",
    "![",
    "](",
    "][",
    "!",
    "`",
    "```",
    "~~~",
    "\n",
    "\n\n",
    "> ",
    "- ",
    "    ",
    "<",
    ">",
    "\\",
    "|",
]
PIECES += ["https://evil.example/x", "https://bank.example", "bank.example", "//evil.example", "javascript:x", "@", " "]
PIECES += [
    "[r]: https://evil.example\n",
    "[r]",
    "&#33;",
    "&lsqb;",
    "*",
    "_",
    "a",
    "\u200b",
    '"',
    "<img src=https://e.example>",
]
PIECES += [
    "| a | b |\n|---|---|\n| ",
    f"![a]({EVIL})",
    f"[https://bank.example]({EVIL})",
    "mailto:a@b.example",
    "[b][r]",
]
written = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)


@given(written)
@example(f"`\\`![a]({EVIL})")
@example(f"- ```\n  x\n  ```\n![a]({EVIL})")
@example(f"https://evil.example/x`]![a]({EVIL})`")  # an address may swallow the backtick
@example(f"https://evil.example/x`][https://bank.example]({EVIL})`")
def test_no_way_of_writing_gets_around_it(text: str) -> None:
    shown = outward(text)
    assert outward(shown) == shown
    assert list(wrongs(shown)) == []


@given(written)
def test_without_links_nothing_changes(text: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.validateLink = lambda url: True
    tokens = list(flat(parser.parse(text)))
    assume(not any(token.type in {"link_open", "image", "html_inline", "html_block", "code_block"} for token in tokens))
    assume("<" not in text)
    assume(not re.search(r"://[^\s/]*@", text))
    assume(not re.search(r"://\S*`", text))  # what follows such an address is no code to those who link it
    assert outward(text) == text


def wrongs(text: str) -> Iterator[str]:
    """What another parser than the code's finds wrong with ``text``: the one that the platforms use."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "maxNesting": 10_000})
    parser.enable(["table", "strikethrough", "linkify"])
    for block in parser.parse(text):
        href, shown, itself = "", "", False
        for token in block.children or ():
            if token.type == "image":
                yield f"an image of {token.attrs['src']}"
            if token.type == "link_open":
                href, shown, itself = str(token.attrs["href"]), "", token.info == "auto"
            elif token.type == "link_close":
                host = urlsplit(href).hostname or ""
                if "@" in urlsplit(href).netloc and not href.startswith("//"):
                    yield f"a user's name in {href}"
                if urlsplit(href).scheme not in {"http", "https", "mailto", ""}:
                    yield f"a way to {href}"
                if not shown.strip(" \n\u200b"):
                    yield f"nothing to see of {href}"
                named = re.findall(r"//([\w.]+)", shown.replace("\u200b", "").lower())
                if not itself and host and set(named) - {host} and f"({host})" not in shown:
                    yield f"{shown} for {href}"
            else:
                shown += token.content


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()
