"""How the page looks and what it says, in headless Chromium: for two people, in the dark, on a phone."""

from __future__ import annotations

import pytest

from dspy_session_chat import (
    Link,
    Reply,
    ReplyFile,
)
from tests.bots.playground.chromium import ALT, CTRL
from tests.bots.playground.hands import FIRST, SECOND, opened, say, usual
from tests.bots.playground.pictures import picture


def richly(text: str, turn_id: str) -> Reply:
    return Reply(
        "Honey, **lots** of it. " + "verylongword" * 20,
        turn_id=turn_id,
        links=(Link("https://bees.example", "Bees"), Link("", "A book")),
        table=(("mood", "calm"), ("an address", "https://bees.example/" + "a" * 200)),
        reasoning="Bees *make* it.",
        buttons=usual(turn_id),
        files=(ReplyFile("hive.png", "image/png", picture(40, 20)), ReplyFile("yield.csv", "text/csv", b"1,2")),
    )


async def test_all_that_an_answer_has_is_shown_and_fits_a_phone(browser: str):
    async with opened(browser, richly) as (tab, _visitor):
        await tab.resize(360, 740)
        await say(tab, "Tell me all, " + "verylongword" * 20)
        await tab.until_text(".sources", "A book")
        assert await tab.run("document.querySelector('.sources a').href") == "https://bees.example/"
        await tab.until_text(".further", "calm")
        await tab.until("document.querySelector('.picture img')?.naturalWidth === 40")
        assert await tab.run("document.querySelector('.file').download") == "yield.csv"
        await tab.run("document.querySelector('.reasoning').open = true")
        await tab.until_text(".reasoning em", "make")
        await tab.run("document.querySelector('.picker .small').click()")
        await tab.press("k", CTRL)
        await tab.until("!document.getElementById('palette').hidden")
        assert await tab.run("document.documentElement.scrollWidth") == 360
        assert await tab.run("document.getElementById('chat').scrollWidth <= 360")


async def test_two_people_share_the_page_and_not_everything(browser: str):
    def private(text: str, turn_id: str) -> Reply:
        return Reply("Your code is 1234.", turn_id=turn_id, private=True)

    async with opened(browser, private) as (tab, visitor):
        await tab.click("#rename")
        await tab.until("document.activeElement.value === 'Ann'")
        await tab.type("Anna")
        await tab.press("Enter")
        await tab.until_text("#people", "Anna")
        await say(tab, "My code?")
        await tab.until_text(FIRST, "Your code is 1234.")
        await tab.until_text(FIRST, "Only you see this.")
        await tab.until_text(f"{FIRST} .byline", "Anna")
        await tab.press("u", ALT)
        await tab.until_text(FIRST, "Only Anna sees this.")
        assert "1234" not in await tab.run("document.querySelector('main').innerText")
        await say(tab, "And mine?")
        await tab.until_text(f"{SECOND} .byline", "Ben")
        await tab.reload()  # who writes, and what they are called, is remembered
        await tab.until_text(f"{SECOND} .byline", "Ben")
        await tab.until("document.querySelector('#people :checked').value === 'ben'")
    assert [(event.author.id, event.author.name) for event in visitor.received] == [("ann", "Anna"), ("ben", "Ben")]


async def test_dark_and_light_follow_the_system_until_somebody_chooses(browser: str):
    dark = "getComputedStyle(document.body).backgroundColor === 'rgb(22, 23, 22)'"
    async with opened(browser) as (tab, _):
        await tab.prefer(prefers_color_scheme="dark")
        await tab.until(dark)
        await tab.click("#theme")
        await tab.until(f"!({dark})")
        await tab.reload()
        assert not await tab.run(dark)
        await tab.press("t", ALT)
        await tab.until(dark)
        await tab.press("t", ALT)
        await tab.prefer(prefers_color_scheme="light")
        await tab.until(f"!({dark})")


async def test_a_link_to_another_thread_leads_there(browser: str):
    links: list[str] = []
    async with opened(browser, lambda text, turn: Reply(links.pop() if links else "Bees.", turn_id=turn)) as (
        tab,
        visitor,
    ):
        await visitor.say("Hello", "two")
        links.append(f"It is [over here]({visitor.playground.url}#two).")
        await say(tab, "Where?")
        await tab.until("document.querySelector('.prose a')")
        await tab.click(".prose a")
        await tab.until_text(FIRST, "Bees.")
        assert await tab.run("location.hash") == "#two"


async def test_every_control_has_a_name_and_can_be_reached_and_motion_can_rest(browser: str):
    async with opened(browser, richly) as (tab, _visitor):
        await say(tab, "Hello")
        await tab.until("document.querySelector('.picker')")
        await tab.run("document.activeElement.blur()")
        await tab.press("?")
        await tab.until("document.getElementById('shortcuts').open")
        await tab.until_text("#shortcuts", "Stop the answer")
        await tab.press("Escape")
        await tab.until("!document.getElementById('shortcuts').open")
        nameless = await tab.run("""[...document.querySelectorAll("button, input, textarea, a[href], summary")]
            .filter((one) => one.checkVisibility() && one.tabIndex >= 0)
            .filter((one) => !(one.ariaLabel || one.innerText?.trim() || one.labels?.length))
            .filter((one) => !one.querySelector("img[alt]"))
            .map((one) => one.outerHTML)""")
        assert nameless == []
        await tab.run("document.getElementById('new-thread').focus()")
        reached = set()
        for _ in range(40):
            reached.add(await tab.run("document.activeElement.id || document.activeElement.dataset.action"))
            await tab.press("Tab")
        assert {"theme", "show-shortcuts", "retry", "good", "bad", "attach", "rename", "message"} <= reached
        await tab.prefer(prefers_reduced_motion="reduce")
        await tab.until("getComputedStyle(document.querySelector('.pulse')).animationName === 'none'")


async def test_what_is_taken_back_is_shown_as_such(browser: str):
    async with opened(browser) as (tab, visitor):
        await say(tab, "Hello")
        await tab.until_text(FIRST, "So you say.")
        await visitor.conversations.undo(visitor.received[0].key)
        await visitor.act("press", button="nothing")
        await tab.until_text(FIRST, "The agent does not remember this any more.")
        await tab.until_text("#turns", "taken back")


@pytest.mark.parametrize("failing", ["/api/threads/one/actions", "/api/files"])
async def test_what_the_server_does_not_take_is_said(browser: str, failing: str):
    async with opened(browser) as (tab, _visitor):
        await say(tab, "Hello")
        await tab.until_text(FIRST, "So you say.")
        await tab.run(f"""(() => {{
            const fetched = window.fetch;
            window.fetch = (path, ...more) => path.startsWith("{failing}")
                ? Promise.resolve(new Response('{{"error": "no room"}}', {{ status: 507 }})) : fetched(path, ...more);
        }})()""")
        if failing == "/api/files":
            await tab.run("""(() => {
                const transfer = new DataTransfer();
                transfer.items.add(new File(["x"], "bees.txt"));
                document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
            })()""")
            await tab.until_text("#problem", "bees.txt was left out: no room.")
            await tab.until("document.getElementById('attached').hidden")
        else:
            await tab.click("[data-action=good]")
            await tab.until_text("#problem", "Not done: no room.")
            await tab.until("document.querySelector('[data-action=good]').ariaPressed === 'false'")
