"""How much of a history fits into a number of tokens."""

from __future__ import annotations

from dspy_session.history import Snapshot


def tokens_window(saw: Snapshot, max_tokens: int) -> int:
    """How many of the last messages hold at most ``max_tokens`` tokens together.

    Tokens are counted by LiteLLM's default tokenizer over the messages' values: an estimate, some percent off for any
    one model, that needs no network.
    """
    total = 0
    messages = saw.shown()
    for fitting, (record, names) in enumerate(reversed(messages)):
        total += sum(_tokens(str(record.fields[name])) for name in names)
        if total > max_tokens:
            return fitting
    return len(messages)


def _tokens(text: str) -> int:
    import litellm  # here, because it takes longer to import than everything else together

    return int(litellm.token_counter(text=text))
