from __future__ import annotations

import asyncio

from dspy_session_bots.playground.answer import LiveAnswer


async def next_view(shown: asyncio.Event) -> None:
    shown.clear()
    async with asyncio.timeout(10):
        await shown.wait()


async def test_the_first_piece_is_shown_at_once_and_the_next_ones_together():
    views: list[tuple[str, str]] = []
    shown = asyncio.Event()

    def show(text: str, status: str) -> None:
        views.append((text, status))
        shown.set()

    answer = LiveAnswer(show)
    await answer.status("searching")
    assert views == [("", "searching")]
    for word in ("one ", "two ", "three "):
        await answer.append(word)
    assert len(views) == 1
    await next_view(shown)
    assert views[1] == ("one two three ", "")  # it searches no more, it writes
    await answer.append("four")
    await next_view(shown)
    assert views[2] == ("one two three four", "")


async def test_nothing_is_shown_after_the_end():
    views: list[str] = []
    answer = LiveAnswer(lambda text, status: views.append(text))
    await answer.append("one ")
    await answer.append("two ")
    answer.close()
    loop, past = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(0.1, past.set)  # longer than the pace
    await past.wait()
    assert views == ["one "]


async def test_an_answer_that_never_began_ends_well():
    LiveAnswer(lambda text, status: None).close()


async def test_an_answer_that_is_begun_anew_is_shown_no_more():
    views: list[tuple[str, str]] = []
    shown = asyncio.Event()

    def show(text: str, status: str) -> None:
        views.append((text, status))
        shown.set()

    answer = LiveAnswer(show)
    await answer.append("half an ans")
    await answer.disown([])
    await next_view(shown)
    assert (views, answer.message_ids) == ([("half an ans", ""), ("", "")], ())
