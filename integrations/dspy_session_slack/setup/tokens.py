"""Slack's kinds of tokens, and what to say of one that is missing or is of another kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dspy_session_chat.finding import Finding
from dspy_session_slack.setup.scopes import APP_SCOPES

KINDS = {
    "xoxb-": "a bot token",
    "xapp-": "an app-level token",
    "xoxp-": "a user token",
    "xoxe.xoxb-": "a bot token that Slack rotates",
    "xoxe.xoxp-": "a configuration token",
    "xoxe-": "a refresh token",
    "xoxc-": "a browser's token",
    "xwfp-": "a workflow token",
}
"""By what a token begins with; from Slack's documentation of tokens."""

QUOTES = ("'", '"', "`", "‘", "’", "“", "”")  # noqa: RUF001  # those that a word processor makes, too


def kind_of(token: str) -> str:
    """What a token is, in words, by what it begins with; empty if nothing is known to begin so."""
    if token.startswith(QUOTES):
        return "something in quotes"
    return next((kind for prefix, kind in KINDS.items() if token.startswith(prefix)), "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token or secret that a bot needs.

    Args:
        what: Its kind, in words.
        variable: The environment's variable that holds it.
        looks: What it looks like, in words: ``"xoxb-…"``.
        form: The same as a pattern.
        where: How to get it, as a sentence.
        scopes: Scopes that it has to have and that Slack tells of only when they are missing.
    """

    what: str
    variable: str
    looks: str
    form: re.Pattern[str]
    where: str
    scopes: tuple[str, ...] = ()

    @property
    def mend(self) -> str:
        """What to do without it, as a sentence."""
        return f"{self.where} Set {self.variable} to it."

    def wrong(self, token: str | None) -> Finding | None:
        """What is wrong with a token by its looks; None if nothing is. The token itself is not shown."""
        if not token:
            says = f"{self.variable} is not set"
        elif self.form.fullmatch(token):
            return None
        else:
            kind = kind_of(token)
            is_ours = bool(kind) and kind == kind_of(self.looks)
            held = "characters that no token has" if is_ours else f"{kind or 'something else'}, not {self.looks}"
            says = f"{self.variable} holds {held}"
        return Finding(self.what, holds=False, says=says, mend=self.mend)


APPS = "https://api.slack.com/apps"
"""Where one's apps are, each with the pages of its settings."""

BOT = Wanted(
    "bot token",
    "SLACK_BOT_TOKEN",
    "xoxb-…",
    re.compile(r"xoxb-[!-~]+"),
    f"On the page OAuth & Permissions ({APPS}), install the app, and copy the Bot User OAuth Token (xoxb-…).",
)
APP = Wanted(
    "app-level token",
    "SLACK_APP_TOKEN",
    "xapp-…",
    re.compile(r"xapp-[!-~]+"),
    f"On the page Basic Information ({APPS}), under App-Level Tokens, press Generate Token and Scopes, add "
    f"{APP_SCOPES[0]}, and copy the token (xapp-…).",
    APP_SCOPES,
)
SIGNING = Wanted(
    "signing secret",
    "SLACK_SIGNING_SECRET",
    "32 hexadecimal digits",
    re.compile(r"[0-9a-f]{32}"),
    f"On the page Basic Information ({APPS}), under App Credentials, copy the Signing Secret.",
)


def are_swapped(bot_token: str | None, app_token: str | None) -> bool:
    """Whether each token is of the other's kind."""
    return (bot_token or "").startswith("xapp-") and (app_token or "").startswith("xoxb-")


def swapped(bot_token: str | None, app_token: str | None) -> list[Finding]:
    """What to say of two tokens that are swapped; nothing if they are not."""
    if not are_swapped(bot_token, app_token):
        return []
    mend = f"The tokens are swapped: set {BOT.variable} to the xoxb-… one, and {APP.variable} to the xapp-… one."
    wrong = BOT.wrong(bot_token), APP.wrong(app_token)
    return [replace(finding, mend=mend) for finding in wrong if finding is not None]
