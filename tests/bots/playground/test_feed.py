from __future__ import annotations

from dspy_session_bots.playground.feed import HEARTBEAT, LONGEST_BACKLOG, Feed, event


async def test_an_event_goes_to_the_pages_of_its_thread():
    feed = Feed()
    with feed.page("one") as one, feed.page("two") as two:
        feed.publish("turn", {"text": "a\nb\ud83d"}, "one")
        feed.publish("thread", {"id": "two"})
        assert await one.next() == b'event: turn\ndata: {"text":"a\\nb\\ud83d"}\n\n'
        assert await one.next() == await two.next() == event("thread", {"id": "two"})


async def test_a_page_that_does_not_read_is_let_go_of():
    feed = Feed()
    with feed.page("one") as page, feed.page("one") as other:
        for number in range(LONGEST_BACKLOG + 10):
            feed.publish("turn", number)
            assert await other.next() == event("turn", number)
        read = [await page.next() for _ in range(LONGEST_BACKLOG + 1)]
    assert read[:2] == [event("turn", 0), event("turn", 1)]
    assert read[-1] is None


async def test_silence_is_broken_now_and_then():
    with Feed(heartbeat=0).page("one") as page:
        assert await page.next() == HEARTBEAT


async def test_a_closed_feed_lets_late_pages_go_at_once():
    feed = Feed()
    with feed.page("one") as page:
        feed.close()
        assert await page.next() is None
    with feed.page("one") as late:
        assert await late.next() is None


async def test_a_page_that_has_left_hears_nothing():
    feed = Feed(heartbeat=0)
    with feed.page("one") as page:
        pass
    feed.publish("turn", 1)
    assert await page.next() == HEARTBEAT
