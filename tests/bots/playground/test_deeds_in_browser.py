"""What people do on the page, with hand and keyboard in headless Chromium, as the bot hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dspy_session_chat import (
    Button,
    Command,
    Deletion,
    Edit,
    Event,
    Inbound,
    Link,
    Post,
    Press,
    Reaction,
    Reply,
    ReplyFile,
)
from dspy_session_chat.action import Action, Deed
from tests.bots.playground.chromium import ALT, CTRL, Tab, browsing
from tests.bots.playground.page import BEN, Visitor, overheard, serving
from tests.bots.playground.pictures import picture
from tests.stub_lm import Prompt

FIRST, SECOND = ".exchange:nth-child(1)", ".exchange:nth-child(2)"

Answers = Callable[[str, str], Reply]
"""The answer to a message, of a turn."""


def plainly(text: str, turn_id: str) -> Reply:
    return Reply("So you say.", turn_id=turn_id, buttons=usual(turn_id))


def usual(turn_id: str) -> tuple[Button, ...]:
    """The buttons that a bot puts under an answer."""
    bad = Button("bad", "👎", turn_id, asks="What was wrong with it?")
    return Button("retry", "Retry", turn_id), Button("good", "👍", turn_id), bad


@asynccontextmanager
async def opened(folder: Path, answers: Answers = plainly, **options: Any) -> AsyncIterator[tuple[Tab, Visitor]]:
    """A tab that shows thread ``one`` of a page whose messages are answered, and whose thumbs count."""

    async def does(visitor: Visitor, event: Event) -> None:
        conversations, playground = visitor.conversations, visitor.playground
        if isinstance(event, Inbound):
            await conversations.acall(event.key, question=event.text)
            turn = (await conversations.state(event.key)).turns[-1]
            await playground.post(Post(event, answers(event.text, turn.id)))
        elif isinstance(event.deed, Press) and event.deed.button in ("good", "bad"):
            turn = (await conversations.state(event.key)).turns[-1]
            score = {"good": 1.0, "bad": 0.0}[event.deed.button]
            taken_back = not event.deed.text and any(
                said.by == event.author.id and said.score == score for said in turn.feedback
            )
            await conversations.score(
                event.key, turn.id, None if taken_back else score, by=event.author.id, text=event.deed.text
            )

    async with browsing(folder) as tab, overheard(does, **options) as visitor:
        await tab.go(f"{visitor.playground.url}#one")
        await tab.until("document.getElementById('agent')?.textContent")
        yield tab, visitor
        assert tab.complaints == []


async def say(tab: Tab, text: str) -> None:
    await tab.run("document.getElementById('message').focus()")
    await tab.type(text)
    await tab.press("Enter")


async def deeds(visitor: Visitor, count: int) -> list[Deed]:
    """What was done so far, once it is so much."""
    await visitor.until_received(lambda events: sum(isinstance(event, Action) for event in events) >= count)
    return [event.deed for event in visitor.received if isinstance(event, Action)]


async def test_an_answer_that_grows_is_stopped_by_hand_or_by_key(tmp_path: Path):
    open_streams = []

    async def does(visitor: Visitor, event: Event) -> None:
        if isinstance(event, Inbound):
            stream = visitor.playground.stream(event)
            open_streams.append(stream)
            shown = await stream.__aenter__()
            await shown.append("Once upon a time")

    async with browsing(tmp_path) as tab, overheard(does) as visitor:
        await tab.go(f"{visitor.playground.url}#one")
        await tab.until("document.getElementById('agent')?.textContent")
        await say(tab, "Tell me a story")
        await tab.until_text(".prose", "Once upon a time")
        await tab.until_text(".below", "Writing")
        await tab.click('[data-action="stop"]')
        await deeds(visitor, 1)
        await tab.until("!document.querySelector('[data-action=stop]').disabled")
        await tab.run("document.getElementById('message').focus()")
        await tab.press("s", ALT)
        done = await deeds(visitor, 2)
        await say(tab, "Are you there?")  # the box is free meanwhile
        await tab.until("document.querySelectorAll('.exchange').length === 2")
        for stream in open_streams:
            await stream.__aexit__(None, None, None)
    assert done == [Press("stop", visitor.received[0].event_id)] * 2
    assert tab.complaints == []


async def test_thumbs_are_pressed_explained_and_taken_back(tmp_path: Path):
    def pressed(action: str, is_: bool) -> str:
        return f"document.querySelector('[data-action={action}]')?.ariaPressed === '{str(is_).lower()}'"

    async with opened(tmp_path) as (tab, visitor):
        await say(tab, "Hello")
        await tab.until_text(FIRST, "So you say.")
        await tab.click("[data-action=good]")
        await tab.until(pressed("good", True))
        await tab.until_text("#turns", "score 1")
        await tab.reload()
        await tab.until(pressed("good", True))
        await tab.click("[data-action=good]")
        await tab.until(pressed("good", False))
        await tab.until("!document.getElementById('turns').innerText.includes('score')")

        await tab.click("[data-action=bad]")
        await tab.until(pressed("bad", True))
        await tab.until("document.activeElement.placeholder === 'What was wrong with it?'")
        await tab.type("It is rude.")
        await tab.press("Enter")
        await tab.until_text(".thanks", "It is rude.")
        await tab.until(pressed("bad", True))
        await tab.press("u", ALT)  # the other one has said nothing
        await tab.until(pressed("bad", False))
        done = await deeds(visitor, 4)
    turn = done[0].about
    assert done == [Press("good", turn), Press("good", turn), Press("bad", turn), Press("bad", turn, "It is rude.")]


async def test_any_button_of_the_bots_is_shown_and_asks_what_it_has_to(tmp_path: Path):
    buttons = (Button("approve", "Approve", "c1", "good"), Button("deny", "Deny", "c1", "danger", asks="Why not?"))
    async with opened(tmp_path, lambda text, turn: Reply("Shall I?", turn_id=turn, buttons=buttons)) as (tab, visitor):
        await say(tab, "Book it")
        await tab.until_text(".buttons", "Approve")
        assert await tab.run("[...document.querySelectorAll('.buttons button')].map((one) => one.dataset.style)") == [
            "good",
            "danger",
        ]
        await tab.click("[data-action=deny]")
        await tab.until("document.activeElement.placeholder === 'Why not?'")
        await tab.type("Too dear.")
        await tab.press("Enter")
        await tab.until_text(".thanks", "Too dear.")
        done = await deeds(visitor, 2)
    assert done == [Press("deny", "c1"), Press("deny", "c1", "Too dear.")]


async def test_commands_are_chosen_with_the_keyboard(tmp_path: Path):
    async with opened(tmp_path) as (tab, visitor):
        await tab.press("k", CTRL)
        await tab.until_text("#palette", "Start this conversation again")
        await tab.press("ArrowDown")
        await tab.until("document.getElementById('message').getAttribute('aria-activedescendant') === 'command-reset'")
        await tab.press("ArrowUp")
        await tab.press("ArrowUp")
        await tab.press("Escape")
        await tab.until("document.getElementById('palette').hidden")
        await tab.type("fo")
        await tab.until("document.querySelectorAll('#palette li').length === 2")
        await tab.press("Tab")
        await tab.type("bees and honey")
        await tab.press("Enter")
        await tab.until_text(FIRST, "/fork bees and honey")
        await tab.until("document.getElementById('message').value === ''")
        await say(tab, "/usr/bin is no command")
        await tab.until_text(SECOND, "/usr/bin is no command")
        done = await deeds(visitor, 1)
    assert done == [Command("fork", "bees and honey")]
    assert [event.text for event in visitor.received if isinstance(event, Inbound)] == ["/usr/bin is no command"]


async def test_ones_own_messages_are_changed_and_deleted(tmp_path: Path):
    async with opened(tmp_path) as (tab, visitor):
        await say(tab, "I kep bees")
        await tab.until_text(FIRST, "So you say.")
        await visitor.say("I don't", author=BEN)
        await tab.until("document.querySelectorAll('.exchange').length === 2")
        assert await tab.run("document.querySelectorAll('[data-change]').length") == 1
        await tab.press("ArrowUp")
        await tab.until("document.activeElement.closest('.rewrite')")
        await tab.run("document.activeElement.select()")
        await tab.type("I keep bees")
        await tab.press("Enter")
        await tab.until_text(f"{FIRST} .question", "I keep bees")
        await tab.until_text(f"{FIRST} .byline", "edited")
        await tab.click(f"{FIRST} [aria-label='Delete this message']")
        await tab.until_text(f"{FIRST} .own", "Delete?")
        await tab.click(f"{FIRST} .sure")
        await tab.until_text(FIRST, "This message was deleted.")
        done = await deeds(visitor, 2)
    message = visitor.received[0].event_id
    assert done == [Edit(message, "I keep bees"), Deletion(message)]


async def test_reactions_are_put_and_taken_away(tmp_path: Path):
    async with opened(tmp_path) as (tab, visitor):
        await say(tab, "Hello")
        await tab.until("document.querySelector('.picker')")
        await tab.run("document.querySelector('.picker .small').focus()")
        await tab.press("Enter")
        await tab.until("document.activeElement.title === 'thumbs up'")
        await tab.press("ArrowRight")
        await tab.press("ArrowRight")
        await tab.press("Enter")
        await tab.until_text(".reaction[aria-pressed=true]", "1")
        await tab.click(".reaction")
        await tab.until("!document.querySelector('.reaction')")
        done = await deeds(visitor, 2)
        (exchange,) = await visitor.exchanges()
    assert done == [Reaction("🎉", exchange["answer"], True), Reaction("🎉", exchange["answer"], False)]


async def test_files_are_dropped_shown_and_left_out_again(tmp_path: Path):
    put = """(() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(["Bees make honey."], "bees.txt", { type: "text/plain" }));
        transfer.items.add(new File(["x"], "wrong.txt"));
        const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
        for (const name of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(name, how));
    })()"""
    async with opened(tmp_path) as (tab, visitor):
        await tab.run(put)
        await tab.until("document.querySelectorAll('#attached [data-ready=true]').length === 2")
        assert await tab.run("document.getElementById('drop').hidden")
        await tab.click("[aria-label='Remove wrong.txt']")
        await tab.until("document.querySelectorAll('#attached li').length === 1")
        await say(tab, "Look at this")
        await tab.until_text(".question .file", "bees.txt")
        await tab.until("document.getElementById('attached').hidden")
        (inbound,) = visitor.received
        assert isinstance(inbound, Inbound)
        (attachment,) = inbound.attachments
        async with visitor.playground.fetch(attachment) as pieces:
            assert [piece async for piece in pieces] == [b"Bees make honey."]
    assert (attachment.name, attachment.media_type, attachment.size) == ("bees.txt", "text/plain", 16)


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


async def test_all_that_an_answer_has_is_shown_and_fits_a_phone(tmp_path: Path):
    async with opened(tmp_path, richly) as (tab, _visitor):
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


async def test_two_people_share_the_page_and_not_everything(tmp_path: Path):
    def private(text: str, turn_id: str) -> Reply:
        return Reply("Your code is 1234.", turn_id=turn_id, private=True)

    async with opened(tmp_path, private) as (tab, visitor):
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


async def test_dark_and_light_follow_the_system_until_somebody_chooses(tmp_path: Path):
    dark = "getComputedStyle(document.body).backgroundColor === 'rgb(22, 23, 22)'"
    async with opened(tmp_path) as (tab, _):
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


async def test_a_link_to_another_thread_leads_there(tmp_path: Path):
    links: list[str] = []
    async with opened(tmp_path, lambda text, turn: Reply(links.pop() if links else "Bees.", turn_id=turn)) as (
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


async def test_every_control_has_a_name_and_can_be_reached_and_motion_can_rest(tmp_path: Path):
    async with opened(tmp_path, richly) as (tab, _visitor):
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


async def test_what_is_taken_back_is_shown_as_such(tmp_path: Path):
    async with opened(tmp_path) as (tab, visitor):
        await say(tab, "Hello")
        await tab.until_text(FIRST, "So you say.")
        await visitor.conversations.undo(visitor.received[0].key)
        await visitor.act("press", button="nothing")
        await tab.until_text(FIRST, "The agent does not remember this any more.")
        await tab.until_text("#turns", "taken back")


@pytest.mark.parametrize("failing", ["/api/threads/one/actions", "/api/files"])
async def test_what_the_server_does_not_take_is_said(tmp_path: Path, failing: str):
    async with opened(tmp_path) as (tab, _visitor):
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


async def test_with_a_real_bot_an_answer_is_stopped_given_anew_and_forked(tmp_path: Path):
    never = asyncio.Event()
    asked: list[str] = []

    def reply(prompt: Prompt) -> list[object]:
        asked.append(prompt.last)
        ending = ["all day.", "\n\n[[ ## completed ## ]]"] if len(asked) > 1 else [never]
        return ["[[ ## answer ## ]]\n", "Bees make ", "honey ", *ending]

    async with browsing(tmp_path) as tab, serving(reply=reply) as visitor:
        await tab.go(f"{visitor.playground.url}#one")
        await tab.until("document.getElementById('agent')?.textContent")
        await say(tab, "What do bees do?")
        await tab.until_text(f"{FIRST} .prose", "honey")
        await tab.click("[data-action=stop]")
        await tab.until_text(f"{FIRST} .remark", "Stopped.")
        await tab.until_text("#turns", "stopped")
        await tab.click("[data-action=retry]")
        await tab.until_text(f"{SECOND} .question", "Ann pressed Retry")
        await tab.until_text(f"{SECOND} .prose", "Bees make honey all day.")
        await tab.until_text(f"{FIRST} .remark", "does not remember this any more")
        await tab.run("document.getElementById('message').focus()")
        await tab.type("/fork More about bees")
        await tab.press("Enter")
        await tab.until("document.querySelector('.exchange:nth-child(3) .prose a')")
        await tab.click(".exchange:nth-child(3) .prose a")
        await tab.until("location.hash !== '#one' && document.querySelectorAll('.exchange').length === 1")
        await tab.until_text(FIRST, "Bees make honey all day.")
        await tab.until_text("#thread-list [aria-current]", "More about bees")
    assert tab.complaints == []
