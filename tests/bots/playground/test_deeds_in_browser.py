"""What people do on the page, with hand and keyboard in headless Chromium, as the bot hears it."""

from __future__ import annotations

import asyncio

from dspy_session_chat import Button, Command, Deletion, Edit, Event, Inbound, Post, Press, Reaction, Reply
from tests.bots.playground.chromium import ALT, CTRL, browsing
from tests.bots.playground.hands import FIRST, SECOND, deeds, opened, say
from tests.bots.playground.page import BEN, Visitor, about_to_answer, overheard, serving
from tests.stub_lm import Prompt


async def test_an_answer_that_grows_is_stopped_by_hand_or_by_key(browser: str):
    open_streams = []

    async def does(visitor: Visitor, event: Event) -> None:
        if isinstance(event, Inbound):
            stream = visitor.playground.stream(about_to_answer(event))
            open_streams.append(stream)
            shown = await stream.__aenter__()
            await shown.append("Once upon a time")

    async with browsing(browser) as tab, overheard(does) as visitor:
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


async def test_thumbs_are_pressed_explained_and_taken_back(browser: str):
    def pressed(action: str, is_: bool) -> str:
        return f"document.querySelector('[data-action={action}]')?.ariaPressed === '{str(is_).lower()}'"

    async with opened(browser) as (tab, visitor):
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


async def test_any_button_of_the_bots_is_shown_and_asks_what_it_has_to(browser: str):
    buttons = (
        Button("approve", "Approve", "c1", "good"),
        Button("deny", "Deny", "c1", "danger", asks="Why not?"),
        Button("cancel", "Call off", "c1", "danger", asks="Why at all?", counts="when sent"),
    )
    async with opened(browser, lambda text, turn: Reply("Shall I?", turn_id=turn, buttons=buttons)) as (tab, visitor):
        await say(tab, "Book it")
        await tab.until_text(".buttons", "Approve")
        assert await tab.run("[...document.querySelectorAll('.buttons button')].map((one) => one.dataset.style)") == [
            "good",
            "danger",
            "danger",
        ]
        await tab.click("[data-action=deny]")
        await tab.until("document.activeElement.placeholder === 'Why not?'")
        await tab.type("Too dear.")
        await tab.press("Enter")
        await tab.until_text(".thanks", "Too dear.")
        await deeds(visitor, 2)

        box, waits = "document.querySelector('.ask')", "document.activeElement.placeholder === 'Why at all?'"
        await tab.click("[data-action=cancel]")  # which counts once it is sent off
        await tab.until(waits)
        await tab.type("It rains.")
        await tab.press("Escape")
        await tab.until(f"!{box}")
        await tab.click("[data-action=cancel]")
        await tab.until(waits)
        await tab.click(".ask .quiet")
        await tab.until(f"!{box}")
        await tab.click("[data-action=cancel]")
        await tab.until(waits)
        await tab.type("It rains.")
        await tab.click("[data-action=cancel]")  # it is open already
        assert await tab.run(f"{box}.querySelector('[type=submit]').innerText") == "Call off"
        assert await tab.run(f"{box}.querySelector('[type=submit]').dataset.style") == "danger"
        await tab.until(waits)
        await tab.press("Enter")
        await tab.until(f"!{box}")
        await tab.click("[data-action=cancel]")
        await tab.until(waits)
        await tab.press("Enter")  # without a word
        done = await deeds(visitor, 4)
    assert done == [
        *(Press("deny", "c1"), Press("deny", "c1", "Too dear.")),
        *(Press("cancel", "c1", "It rains."), Press("cancel", "c1")),
    ]


async def test_commands_are_chosen_with_the_keyboard(browser: str):
    async with opened(browser) as (tab, visitor):
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


async def test_ones_own_messages_are_changed_and_deleted(browser: str):
    async with opened(browser) as (tab, visitor):
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


async def test_reactions_are_put_and_taken_away(browser: str):
    async with opened(browser) as (tab, visitor):
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


async def test_files_are_dropped_shown_and_left_out_again(browser: str):
    put = """(() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(["Bees make honey."], "bees.txt", { type: "text/plain" }));
        transfer.items.add(new File(["x"], "wrong.txt"));
        const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
        for (const name of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(name, how));
    })()"""
    async with opened(browser) as (tab, visitor):
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


async def test_with_a_real_bot_an_answer_is_stopped_given_anew_and_forked(browser: str):
    never = asyncio.Event()
    asked: list[str] = []

    def reply(prompt: Prompt) -> list[object]:
        asked.append(prompt.last)
        ending = ["all day.", "\n\n[[ ## completed ## ]]"] if len(asked) > 1 else [never]
        return ["[[ ## answer ## ]]\n", "Bees make ", "honey ", *ending]

    async with browsing(browser) as tab, serving(reply=reply) as visitor:
        await tab.go(f"{visitor.playground.url}#one")
        await tab.until("document.getElementById('agent')?.textContent")
        await say(tab, "What do bees do?")
        await tab.until_text(f"{FIRST} .prose", "honey")
        await tab.click("[data-action=stop]")
        await tab.until_text(f"{FIRST} .remark", "The agent remembers what it had said.")
        assert "(stopped)" in await tab.run(f"document.querySelector('{FIRST}').innerText")
        assert "Stopped." not in await tab.run("document.getElementById('conversation').innerText")
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


async def test_a_new_thread_has_counts_of_its_own(browser: str):
    async with opened(browser) as (tab, _):
        await say(tab, "Hello")
        await tab.until("document.getElementById('turns-count').textContent === '1'")
        await tab.click("#new-thread")
        await tab.until("document.getElementById('turns-count').textContent === ''")
        assert not await tab.run("document.getElementById('no-turns').hidden")


async def test_who_wants_a_new_thread_before_the_page_is_ready_gets_one(browser: str):
    async with opened(browser) as (tab, visitor):
        await say(tab, "Hello")
        await tab.until_text(FIRST, "So you say.")
        async with tab.reloading(late="*/app.js*"):
            await tab.until("document.getElementById('new-thread')")
            await tab.run("document.getElementById('new-thread').click()")
            assert await tab.run("location.hash") == "#one"  # nobody listens yet
        await tab.until("document.getElementById('agent')?.textContent")
        await tab.until("location.hash !== '#one' && document.querySelectorAll('.exchange').length === 0")
        await say(tab, "Elsewhere")
        await visitor.until_received(lambda events: len(events) == 2)  # the page shows it before the bot has it
        assert visitor.received[-1].key.thread != "one"


async def test_who_waits_behind_a_question_reads_that_it_has_to_be_decided(browser: str):
    deny = Button("deny", "Deny", "c1", "danger", asks="Why?", counts="when sent")
    buttons = (Button("approve", "Approve", "c1", "good"), deny)
    open_streams = []

    async def does(visitor: Visitor, event: Event) -> None:
        if isinstance(event, Inbound) and event.text == "Book it":
            stream = visitor.playground.stream(about_to_answer(event))
            open_streams.append(stream)
            await stream.__aenter__()
            await visitor.playground.post(Post(event, Reply("Shall I?", buttons=buttons)))

    async with browsing(browser) as tab, overheard(does) as visitor:
        await tab.go(f"{visitor.playground.url}#one")
        await tab.until("document.getElementById('agent')?.textContent")
        await say(tab, "Book it")
        await tab.until_text(f"{FIRST} .below", "Waiting for an approval")
        await say(tab, "And?")
        await tab.until_text(f"{SECOND} .below", "Waiting until the question above is decided")
        (asked,) = (await visitor.exchanges())[0]["asides"]
        await tab.click(f"{FIRST} [data-action=deny]")
        await tab.until("document.activeElement.placeholder === 'Why?'")
        await tab.type("It rains")
        await visitor.playground.post(Post(visitor.received[0], Reply("I am looking at the weather.")))
        await tab.until_text(f"{FIRST} .asides", "at the weather")
        assert await tab.run("document.activeElement.value") == "It rains"
        assert await tab.run(f"document.querySelector('{FIRST} [data-action=deny]').hidden")
        await tab.press("Escape")
        await tab.until("document.activeElement.dataset.action === 'deny'")
        await visitor.playground.edit(visitor.received[0], asked["id"], "Shall I? Approved.")
        await tab.until_text(f"{SECOND} .below", "Waiting for the answer before this one")
        for stream in open_streams:
            await stream.__aexit__(None, None, None)
    assert tab.complaints == []


async def test_ids_are_cut_between_characters_and_all_clocks_are_one(browser: str):
    delivery = '{number: 1, signed: false, type: "", id: "change_turn%2Fone", at: 1700000000, body: ""}'
    async with opened(browser) as (tab, _):
        await tab.run(f"void import('/static/inspector.js').then((log) => log.putDelivery({delivery}))")
        await tab.until_text("#deliveries", "change_turn")
        assert "%2" not in await tab.run("document.querySelector('#deliveries .more').innerText")
        await say(tab, "Hello")
        await tab.until_text("#turns", "#1")
        logged = await tab.run("document.querySelector('#turns time').textContent")
        said = await tab.run("document.querySelector('.question time').textContent")
    hour, minute = said.split()[0].split(":")
    assert logged.startswith(f"{hour}:{minute}:")
    assert logged.split()[1:] == said.split()[1:]
