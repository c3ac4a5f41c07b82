"""Logs without secrets: tokens, keys and passwords are taken out of what a log shows, tracebacks included.

A library sets no logging up. A program that does calls ``redact_logs()`` afterwards, or gives its handlers a
``RedactingFormatter``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

HIDDEN = "***"
"""What stands where a secret stood."""

_NAME_OF_ONE = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credentials?|signature"
    r"|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key)"
)
_VALUE = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s"'&,;)}\]]+)"""

# Every repetition that something else may follow is bounded, and begins where a word begins: a log line may hold
# megabytes of somebody's base64.
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), shown)
    for pattern, shown in (
        # By their own look. What a token begins with stays: it tells an operator which one is meant.
        (r"((?:xox[a-z](?:\.xox[a-z]){0,2}|xapp)-)[\w-]{6,}", rf"\1{HIDDEN}"),  # also where it clings to a word
        (r"(?<![\w.-])[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}", HIDDEN),  # Discord's: id, time, MAC
        (r"\b(whsec_)[\w+/=-]{6,}", rf"\1{HIDDEN}"),
        (r"\b((?:sk|rk|pk)[-_])[\w-]{16,}", rf"\1{HIDDEN}"),
        (r"\b((?:gh[a-z]|hf|gsk|github_pat|glpat|npm|pypi)[-_])[\w-]{20,}", rf"\1{HIDDEN}"),
        (r"\b(AIza|AKIA|ASIA)[\w-]{16,}", rf"\1{HIDDEN}"),
        (r"(?<![\w-])(eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]*", rf"\1{HIDDEN}"),  # JSON Web Tokens
        # By where they stand in an address.
        (r"(\bhooks\.slack\.com/[a-z]{1,20}/)[^\s\"'<>]+", rf"\1{HIDDEN}"),
        (r"(\bdiscord(?:app)?\.com/api(?:/v\d{1,3})?/(?:webhooks|interactions)/\d{1,30}/)[\w.-]+", rf"\1{HIDDEN}"),
        (r"((?<![\w+.-])(?:https?|wss?)://[^\s/?#:@\"'<>]{0,200}:)[^\s/?#\"'<>]{1,500}(?=@)", rf"\1{HIDDEN}"),
        (r"((?<![\w+.-])(?:https?|wss?)://)[^\s/?#:@\"'<>]{1,500}(?=@)", rf"\1{HIDDEN}"),
        (
            # People forget to escape a password, so in other addresses all up to the last @ is taken for one. The word
            # PASSWORD stands for one where we say how an address is written.
            (
                r"((?<![\w+.-])(?!https?:|wss?:)[a-z][a-z0-9+.-]{0,30}://[^\s/?#:@\"'<>]{0,200}:)"
                r"(?!(?-i:PASSWORD)@)[^\s\"'<>]{1,500}(?=@)"
            ),
            rf"\1{HIDDEN}",
        ),
        (r"([?&;](?:key|sig|auth|code|hm|jwt|sas|ticket)=)[^\s&#\"'<>]+", rf"\1{HIDDEN}"),
        # By what they are called: headers, parameters, settings, as code, JSON or a query writes them.
        (
            (
                r"(\b(?:proxy-)?authorization(?:[\"']?\s{0,3}[:=]\s{0,3}|[\"']\s{0,3},\s{0,3})(?:b(?=[\"']))?[\"']?)"
                r"((?:basic|bearer|bot|digest|token)\s{1,3})?[^\s\"',}]+"
            ),
            rf"\1\2{HIDDEN}",
        ),
        (r"\b((?:basic|bearer|bot)\s{1,3})(?=[^\s\d]{0,100}\d)[\w.~+/=-]{16,}", rf"\1{HIDDEN}"),
        (rf"((?<![\w.-])[\w.-]{{0,40}}{_NAME_OF_ONE}=)(?!\*\*\*|…){_VALUE}", rf"\1{HIDDEN}"),
        (rf"([\"'][\w.-]{{0,40}}{_NAME_OF_ONE}[\"']\s{{0,3}}:\s{{0,3}})(?!\*\*\*){_VALUE}", rf"\1{HIDDEN}"),
    )
)


def redact(text: str) -> str:
    """``text`` with ``***`` for each token, key and password that is known by its look, its place or its name.

    Known are Slack's and Discord's tokens, webhook secrets, the usual forms of API keys and JSON Web Tokens,
    ``Authorization`` headers, passwords in URLs, and parameters whose names say that they are secret.

    >>> redact("no answer from postgresql://bot:hunter2@db/bot?sslpassword=x")
    'no answer from postgresql://bot:***@db/bot?sslpassword=***'
    """
    for secret, shown in _SECRETS:
        text = secret.sub(shown, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats as another formatter does, without the secrets: in the message, its arguments and the traceback.

    Args:
        formatter: Does the formatting; logging's default if None.
    """

    def __init__(self, formatter: logging.Formatter | None = None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return redact(self._formatter.format(record))


def redact_logs(loggers: Iterable[logging.Logger] | None = None) -> None:
    """Let the handlers that are set up by now write no secrets. Doing it again changes nothing.

    Args:
        loggers: Whose handlers; those of the root and of every other logger if None.
    """
    if loggers is None:
        others = [logging.getLogger(name) for name in tuple(logging.root.manager.loggerDict)]
        loggers = (logging.getLogger(), *others)
    for logger in loggers:
        for handler in logger.handlers:
            if not isinstance(handler.formatter, RedactingFormatter):
                handler.setFormatter(RedactingFormatter(handler.formatter))
