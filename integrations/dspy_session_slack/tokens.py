"""Slack's kinds of tokens, and what to say of one that is missing or is of another kind."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dspy_session_chat.finding import Finding
from dspy_session_slack.scopes import APP_SCOPES

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
            kind = next((kind for prefix, kind in KINDS.items() if token.startswith(prefix)), "something else")
            held = "characters that no token has" if kind == self._kind else f"{kind}, not {self.looks}"
            says = f"{self.variable} holds {held}"
        return Finding(self.what, holds=False, says=says, mend=self.mend)

    @property
    def _kind(self) -> str:
        return next((kind for prefix, kind in KINDS.items() if self.looks.startswith(prefix)), "")


BOT = Wanted(
    "bot token",
    "SLACK_BOT_TOKEN",
    "xoxb-…",
    re.compile(r"xoxb-[!-~]+"),
    "On the page OAuth & Permissions, install the app, and copy the Bot User OAuth Token (xoxb-…).",
)
APP = Wanted(
    "app-level token",
    "SLACK_APP_TOKEN",
    "xapp-…",
    re.compile(r"xapp-[!-~]+"),
    f"On the page Basic Information, under App-Level Tokens, press Generate Token and Scopes, add {APP_SCOPES[0]}, and "
    "copy the token (xapp-…).",
    APP_SCOPES,
)
SIGNING = Wanted(
    "signing secret",
    "SLACK_SIGNING_SECRET",
    "32 hexadecimal digits",
    re.compile(r"[0-9a-f]{32}"),
    "On the page Basic Information, under App Credentials, copy the Signing Secret.",
)
