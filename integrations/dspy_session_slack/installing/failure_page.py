"""What people read who come back from Slack and have not installed the app."""

from __future__ import annotations

import html
import re

from slack_bolt.oauth.async_callback_options import AsyncFailureArgs
from slack_bolt.response import BoltResponse

DENIED, NOT_KEPT = "access_denied", "storage_error"

# Who loads the page again that thanked them has it installed all the same: what they read must be true of that too.
_SAID = {
    DENIED: "You did not allow it; nothing was installed.",
    "invalid_browser": "This is another browser than the one that you began in, or you have come here before. Nothing "
    "was installed by it.",
    "invalid_state": "It took too long, or you have come here before. Nothing was installed by it.",
    "missing_code": "Slack did not say whether you allow it; nothing was installed.",
    "invalid_code": "It could not be finished with Slack: the app does not work for you yet.",
    NOT_KEPT: "It could not be kept that you installed it: the app does not work for you yet.",
}

_CODE = re.compile(r"[a-z_]{1,50}")
"""Slack's codes; whatever else stands in an address, anybody may have written."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Installing the app</title>
</head>
<body>
<p>{said}</p>
<p><a href="install">Start again</a></p>
</body>
</html>
"""
"""The link leads to the page beside this one, wherever somebody has mounted both."""


def failure_said(reason: str) -> str:
    """Why nothing was installed, in words.

    Args:
        reason: Bolt's code for it, or what the address says that Slack's is.
    """
    code = reason if _CODE.fullmatch(reason) else "no reason given"
    return _SAID.get(reason) or f"Slack did not let you install it ({code}); nothing was installed."


async def failure_page(args: AsyncFailureArgs) -> BoltResponse:
    """The page for somebody who comes back in vain: that they said no is no error."""
    status = {DENIED: 200, NOT_KEPT: 500}.get(args.reason, 400)
    return BoltResponse(
        status=status,
        body=_PAGE.format(said=html.escape(failure_said(args.reason))),
        headers={
            "Content-Type": "text/html; charset=utf-8",
            "Set-Cookie": args.settings.state_utils.build_set_cookie_for_deletion(),
        },
    )
