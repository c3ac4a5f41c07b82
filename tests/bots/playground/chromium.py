"""Headless Chromium over its DevTools protocol: as much of it as the tests of the page need."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
PATIENCE = 100.0
"""Seconds after which what the page should show is not coming any more."""

_KEYS = {
    "Enter": {"windowsVirtualKeyCode": 13, "text": "\r"},
    "Escape": {"windowsVirtualKeyCode": 27},
    "Tab": {"windowsVirtualKeyCode": 9},
    "ArrowUp": {"windowsVirtualKeyCode": 38},
    "ArrowRight": {"windowsVirtualKeyCode": 39},
    "ArrowDown": {"windowsVirtualKeyCode": 40},
    "?": {"code": "Slash", "text": "?"},
    **{letter: {"code": f"Key{letter.upper()}"} for letter in "kstu"},
}
ALT, CTRL, SHIFT = 1, 2, 8


def executable() -> str:
    """The browser; the test is skipped where there is none."""
    wanted = os.environ.get("CHROMIUM")
    found = wanted or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH, and CHROMIUM does not name one")
    return found


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[str]:
    """Where to reach a browser that writes to ``folder`` alone."""
    with subprocess.Popen(
        [executable(), *FLAGS, f"--user-data-dir={folder / 'profile'}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(folder)},
    ) as process:
        assert process.stderr is not None
        url = ""
        while not url:
            line = process.stderr.readline()
            assert line, "the browser ended before it listened"
            url = line.partition("DevTools listening on ")[2].strip()
        draining = threading.Thread(target=process.stderr.read)
        draining.start()
        try:
            yield url
        finally:
            process.terminate()
            draining.join()


@contextlib.asynccontextmanager
async def browsing(browser: str) -> AsyncIterator[Tab]:
    """An empty tab that shares nothing with any other tab of the browser."""
    async with (
        asyncio.timeout(PATIENCE),
        aiohttp.ClientSession() as http,
        http.ws_connect(browser, max_msg_size=0) as socket,
        Tab(socket) as tab,
    ):
        yield tab


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._session: dict[str, str] = {}
        self._held: asyncio.Queue[str] = asyncio.Queue()
        self.complaints: list[str] = []
        """What the browser reported as wrong: exceptions, refused content, failed requests."""

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        self._apart = await self.command("Target.createBrowserContext")
        target = await self.command("Target.createTarget", url="about:blank", **self._apart)
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            await self.command(f"{domain}.enable")
        await self.resize(1280, 800)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._session = {}
        await self.command("Target.disposeBrowserContext", **self._apart)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def command(self, method: str, **parameters: Any) -> Any:
        number = len(self._waiting)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters, **self._session})
        return await answer

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._waiting[said["id"]]
                if "error" in said:
                    answer.set_exception(RuntimeError(said["error"]["message"]))
                else:
                    answer.set_result(said["result"])
            elif said["method"] == "Fetch.requestPaused":
                self._held.put_nowait(said["params"]["requestId"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["params"]["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.complaints.append(said["params"]["entry"]["text"])

    async def resize(self, width: int, height: int) -> None:
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    async def go(self, url: str) -> None:
        await self.command("Page.navigate", url=url)

    async def reload(self) -> None:
        await self.run("window.stale = true")
        await self.command("Page.reload")
        await self.until("!window.stale && document.readyState === 'complete'")

    @contextlib.asynccontextmanager
    async def reloading(self, late: str) -> AsyncIterator[None]:
        """Load the page anew, but for a file that comes only when the block is left.

        Args:
            late: The file's address, with ``*`` for anything.
        """
        await self.command("Fetch.enable", patterns=[{"urlPattern": late}])
        await self.command("Page.reload", ignoreCache=True)
        async with asyncio.timeout(PATIENCE):
            held = await self._held.get()
        yield
        await self.command("Fetch.continueRequest", requestId=held)
        await self.command("Fetch.disable")

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        look = f"new Promise((done) => {{ const look = () => ({condition}) ? done() : setTimeout(look, 10); look(); }})"
        try:
            async with asyncio.timeout(PATIENCE / 2):
                while True:
                    with contextlib.suppress(RuntimeError):  # the page was replaced while we looked at it
                        await self.run(look)
                        return
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            raise AssertionError(
                f"{condition} did not come true; the page shows:\n{shown}\n{self.complaints}"
            ) from None

    async def until_text(self, selector: str, text: str) -> None:
        """Wait until an element shows a text."""
        wanted = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(text)})"
        await self.until(wanted)

    async def click(self, selector: str) -> None:
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def type(self, text: str) -> None:
        """Write into what has the focus."""
        await self.command("Input.insertText", text=text)

    async def press(self, key: str, modifiers: int = 0) -> None:
        press = {"key": key, "code": key, "modifiers": modifiers, **_KEYS[key]}
        await self.command("Input.dispatchKeyEvent", type="keyDown", **press)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **{**press, "text": ""})

    async def prefer(self, **features: str) -> None:
        """Let the system prefer something: ``prefers_color_scheme="dark"``."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.command("Emulation.setEmulatedMedia", features=wanted)
