"""How much of a history fits into a number of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import dspy

from dspy_session.history import Snapshot

ATTACHMENT_TOKENS = 1000
"""What an image, a recording or a file counts: providers count an image as 85 to 1,600 tokens, whatever its bytes."""


def load_tokenizer() -> None:
    """Load it now: the first count takes seconds, for which nobody should wait in a conversation."""
    _tokens_of("")


def tokens_window(saw: Snapshot, max_tokens: int, left_out: frozenset[str]) -> int:
    """How many of the last messages hold at most ``max_tokens`` tokens together.

    Tokens are counted by LiteLLM's default tokenizer over the messages' values: an estimate, some percent off for any
    one model.

    Args:
        saw: The messages.
        max_tokens: The limit.
        left_out: Names of fields that no prompt shows.
    """
    total = 0
    for fitting, values in enumerate(_newest_first(saw, left_out)):
        total += sum(_tokens(value) for value in values)
        if total > max_tokens:
            return fitting
    return len(saw)


def _newest_first(saw: Snapshot, left_out: frozenset[str]) -> Iterator[list[Any]]:
    """The values of each message."""
    shows = saw.view.shows
    turns = ((record, shows(record.shape)) for record in reversed(saw.records()))
    seed = ((record, record.shape.names) for record in reversed(saw.seed()))
    for record, names in chain(turns, seed):
        yield [record.fields[name] for name in names if name not in left_out]


def _tokens(value: Any) -> int:
    if isinstance(value, (dspy.Image, dspy.Audio, dspy.File)):
        return ATTACHMENT_TOKENS
    if isinstance(value, (list, tuple)):
        return sum(map(_tokens, value))
    if isinstance(value, dict):
        return sum(_tokens(item) for pair in value.items() for item in pair)
    return _tokens_of(str(value))


def _tokens_of(text: str) -> int:
    import litellm  # here, because it takes longer to import than everything else together

    return int(litellm.token_counter(text=text))
