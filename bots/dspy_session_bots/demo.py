"""The demo: an agent, a page to talk to it, and everything that a bot in earnest has around it."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Mapping

from dspy_session_bots import demo_agent
from dspy_session_bots.keeping import shown
from dspy_session_bots.model import EMBEDDED, TOY, choose, label, open_model
from dspy_session_bots.playground import Playground, signed_with
from dspy_session_bots.serving import run_until_stopped
from dspy_session_bots.signing_key import new_signing_key
from dspy_session_chat import Bot
from dspy_session_webhook import Webhook


def run_demo(*, lm: str | None, store: str, port: int, opens_browser: bool) -> None:
    """Run the demo until Ctrl-C.

    Args:
        lm: The model's name; found if None.
        store: Where conversations are kept, as a URL.
        port: The page's port; 0 for a free one.
        opens_browser: Whether to open the page, where there is a browser to open it in.

    Raises:
        SessionError: There is no model, the port is taken, or the store cannot be opened.
    """
    name = choose(lm)
    secret = new_signing_key()

    def ready(url: str) -> None:
        _say(url, label(name), store)
        if opens_browser and has_browser(sys.platform, os.environ):
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # some browsers block

    playground = Playground(
        port=port, agent_name=demo_agent.NAME, model_name=label(name), verify=signed_with(secret), on_ready=ready
    )
    playground.bind()  # the webhook needs its address; and a port that is taken is known before the model starts
    bot = Bot(
        demo_agent.small_assistant() if name == EMBEDDED else demo_agent.assistant(),
        platforms=[playground],
        store=store,
        sinks=[playground, Webhook(playground.hook_url, secret, allow_loopback=True, name=playground.name)],
    )
    model = open_model(name)
    model.configure()
    if name == EMBEDDED:
        threading.Thread(target=demo_agent.read_ahead, args=(model.lm,), daemon=True).start()
    run_until_stopped(bot)


def has_browser(platform: str, environ: Mapping[str, str]) -> bool:
    """Whether a browser would open in a window of its own, and not in this terminal.

    Args:
        platform: ``sys.platform``.
        environ: The environment.
    """
    if platform in ("darwin", "win32"):
        return True
    return any(environ.get(variable) for variable in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _say(url: str, model: str, store: str) -> None:
    toy = f" ({TOY})" if model == label(EMBEDDED) else ""
    lines = (("Open", url), ("Model", f"{model}{toy}"), ("Kept in", shown(store)), ("Stop with", "Ctrl-C"))
    print("\n".join(f"{what:>10}  {value}" for what, value in lines), flush=True)  # noqa: T201
