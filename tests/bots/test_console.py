"""Lines on stderr: one each, harmless, and not without end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator

import pytest

from dspy_session.errors import PlatformError
from dspy_session_bots.console import (
    LONGEST,
    complain,
    explained,
    harmless,
    innermost,
    log_to_operator,
    log_to_terminal,
    one_line,
    show_fault,
    warn_in_one_line,
)


@contextlib.contextmanager
def fresh_logging() -> Iterator[None]:
    """Nobody logs yet; afterwards everything is as it was."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, ("dspy_session", "dspy_session_bots", "dspy_session_chat"))]
    loggers += map(logging.getLogger, ("dspy_session_discord", "dspy_session_slack", "dspy_session_webhook"))
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def fail() -> Exception:
    try:
        raise ValueError("no\ngood")
    except ValueError as error:
        return error


def test_one_line_is_one_and_short() -> None:
    assert one_line(" a\n\tb\x1b[31m c ") == "a b[31m c"
    assert len(one_line("x" * 10_000)) == LONGEST


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    assert harmless("a\x1b]0;title\x07\x9b2J\r\n\tb\x7f é 日本 🎲") == "a]0;title2J\n\tb é 日本 🎲"


def test_our_own_errors_speak_for_themselves() -> None:
    assert explained(PlatformError("the token is refused")) == "the token is refused"
    assert explained(fail()) == "ValueError: no good"


def test_warnings_come_without_their_code(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():  # which puts back what shows them
        warnings.simplefilter("always")
        warn_in_one_line()
        warnings.warn("mind\nthis", stacklevel=1)
    assert capsys.readouterr().err == "dspy-bots: warning: mind this\n"


def test_whoever_looks_on_sees_a_line_for_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        log_to_terminal(verbose=False)
        log = logging.getLogger("dspy_session_chat")
        log.info("nobody asked")
        log.error("No answer to %s", 1, exc_info=fail())
    assert capsys.readouterr().err == "dspy-bots: error: No answer to 1: ValueError: no good\n"


def test_whoever_asks_for_more_sees_where_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        log_to_terminal(verbose=True)
        logging.getLogger("dspy_session_chat").error("No answer", exc_info=fail())
        logging.getLogger("dspy_session_chat").debug("and this")
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("dspy-bots: debug: and this\n")


def test_an_operator_reads_when_what_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        log_to_operator(verbose=True)
        logging.getLogger("dspy_session_chat").info("Listening")
        logging.getLogger("aiohttp").info("not this")
        logging.getLogger("dspy_session_chat").error("No answer", exc_info=fail())
    said = capsys.readouterr().err
    assert "INFO dspy_session_chat: Listening\n" in said
    assert "Traceback" in said
    assert "not this" in said


def refused() -> Exception:
    """An error as providers' clients raise them: one around the other."""
    try:
        try:
            raise ConnectionRefusedError("nobody listens on port 1")
        except ConnectionRefusedError as error:
            raise RuntimeError("retried three times") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("log", [log_to_operator, log_to_terminal])
def test_who_asks_for_no_more_reads_the_cause_in_one_line(
    capsys: pytest.CaptureFixture[str], log: Callable[..., None]
) -> None:
    with fresh_logging():
        log(verbose=False)
        logging.getLogger("discord.client").warning("PyNaCl is not installed, voice will NOT be supported")
        logging.getLogger("dspy_session_chat").error("No answer", exc_info=refused())
        logging.getLogger("aiohttp").info("not this")
    said = capsys.readouterr().err
    assert said.endswith(": No answer: ConnectionRefusedError: nobody listens on port 1\n")
    assert said.count("\n") == 1


def test_what_says_nothing_or_was_hidden_is_no_cause() -> None:
    stopped = TimeoutError("it took too long")
    stopped.__context__ = asyncio.CancelledError()
    hidden = ValueError("no such thing")
    hidden.__context__, hidden.__suppress_context__ = KeyError("x"), True
    circle = ValueError("a")
    circle.__context__ = KeyError("b")
    circle.__context__.__context__ = circle
    assert [innermost(error) for error in (stopped, hidden, circle)] == [stopped, hidden, circle.__context__]


def test_a_complaint_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    complain("this\nis wrong")
    assert capsys.readouterr() == ("", "dspy-bots: this is wrong\n")


TOKEN = "xoxb-" + "12345678901-abcDEF"
DSN = f"postgresql://bot:hunter2{'x' * 400}@db/bot"


def leak() -> ValueError:
    try:
        raise ValueError(f"refused: {TOKEN}, {'-' * (LONGEST - 300)} {DSN}")  # a line is cut within the password
    except ValueError as error:
        return error


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("log", [log_to_terminal, log_to_operator])
def test_no_secret_is_logged(capsys: pytest.CaptureFixture[str], verbose: bool, log: Callable[..., None]) -> None:
    with fresh_logging():
        log(verbose=verbose)
        error = leak()
        logging.getLogger("dspy_session_chat").error("No answer: %s", error, exc_info=error)
    said = capsys.readouterr().err
    assert "xoxb-***" in said
    assert "abcDEF" not in said
    assert "hunter2" not in said


def test_no_secret_is_in_what_nobody_foresaw(capsys: pytest.CaptureFixture[str]) -> None:
    error = leak()
    show_fault(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "ValueError: refused: xoxb-***" in said
    assert "hunter2" not in said
