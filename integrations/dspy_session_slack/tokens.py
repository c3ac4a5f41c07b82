"""Slack's kinds of tokens, and what to say of one that is missing or is of another kind."""

from __future__ import annotations

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
    """A token that a bot needs.

    Args:
        what: Its kind, in words.
        variable: The environment's variable that holds it.
        prefix: What it begins with.
        where: How to get it, as a sentence.
        scopes: Scopes that it has to have and that Slack tells of only when they are missing.
    """

    what: str
    variable: str
    prefix: str
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
        elif not token.startswith(self.prefix):
            kind = next((kind for prefix, kind in KINDS.items() if token.startswith(prefix)), "no token of Slack's")
            says = f"{self.variable} holds {kind}, not {self.prefix}…"
        elif not token.isascii() or not token.isprintable() or " " in token:
            says = f"{self.variable} holds characters that no token has"
        else:
            return None
        return Finding(self.what, holds=False, says=says, mend=self.mend)


BOT = Wanted(
    "bot token",
    "SLACK_BOT_TOKEN",
    "xoxb-",
    "On the page OAuth & Permissions, install the app, and copy the Bot User OAuth Token (xoxb-…).",
)
APP = Wanted(
    "app-level token",
    "SLACK_APP_TOKEN",
    "xapp-",
    f"On the page Basic Information, under App-Level Tokens, press Generate Token and Scopes, add {APP_SCOPES[0]}, and "
    "copy the token (xapp-…).",
    APP_SCOPES,
)
SIGNING = Wanted(
    "signing secret",
    "SLACK_SIGNING_SECRET",
    "",
    "On the page Basic Information, under App Credentials, copy the Signing Secret.",
)
