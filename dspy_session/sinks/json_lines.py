"""A file with a line of JSON for everything that happens in conversations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dspy_session.codec import to_json
from dspy_session.conversation.envelope import Encode, Redact, Selection, delivery, with_id
from dspy_session.conversation.protocols import ConversationEvent
from dspy_session.errors import ConfigurationError
from dspy_session.sinks.line_file import LineFile
from dspy_session.stores.outgoing import Batch, Delivery, Settlement
from dspy_session.threads import arun_in_thread

LONGEST_WAIT = 60.0
"""Seconds between two attempts, at most: somebody makes room on a disk, or mends a permission, sooner or later."""


class JsonLines:
    """Appends a line of JSON for each event to a file, durably: ``{"id":…,"type":…,"timestamp":…,"data":…}``.

    A file that was rotated away is left alone and a new one begun. A line that a crash tore stays torn, on a line of
    its own, and stands once more in full. While the file cannot be written, nothing is lost or put out of order:
    everything waits.

    Args:
        path: The file; made when it does not exist, with the folders above it.
        name: What a store knows it by. Without it, it is made from the whole path.
        events: The types of events that are written; all if None.
        fields: The only inputs and outputs that are; None for all.
        redact: Names of fields whose values are replaced by ``"[redacted]"``, or a function that makes of a value what
            may be written, ``(name, value) -> value``. A field for which that fails is left out.
        batch: How many lines of a conversation are written at once, at most.
        remembered: How many ids are known of the lines at the end of the file, so that none of them is written twice.
        encode: Turns values into JSON; raises for those that it can't, which are left out.

    Raises:
        ConfigurationError: A name or a number doesn't fit.
    """

    concurrency = 1  # one after the other: it is one file
    timeout = 30.0

    def __init__(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        events: Iterable[str] | None = None,
        fields: Iterable[str] | None = None,
        redact: Redact | Iterable[str] | None = None,
        batch: int = 100,
        remembered: int = 10_000,
        encode: Encode = to_json,
    ) -> None:
        for option, number in (("batch", batch), ("remembered", remembered)):
            if number < 1:
                raise ConfigurationError(f"the {option} of JsonLines must be greater than 0, not {number!r}")
        whole = Path(path).absolute()
        self.name = name or f"file:{whole}"
        self.batch = batch
        self._file = LineFile(whole, max(remembered, batch))
        self._selection = Selection.of(events=events, fields=fields, redact=redact, encode=encode)

    def __repr__(self) -> str:
        return f"JsonLines({str(self._file.path)!r})"

    def encode(self, event: ConversationEvent) -> Delivery | None:
        """What is to be written of ``event``, None for nothing. The same event makes the same bytes."""
        return delivery(self.name, event, self._selection)

    async def aopen(self) -> None:
        """Nothing has to be opened: the file is, each time that something is written to it."""

    async def deliver(self, batch: Batch) -> Settlement:
        """Write a batch; what follows from that."""
        lines = [(each.id, with_id(each.id, each.body)) for each in batch.deliveries]
        try:
            await arun_in_thread(lambda: self._file.append(lines))
        except OSError as error:
            wait = min(2.0 ** min(batch.attempt - 1, 10), LONGEST_WAIT)
            reason = f"cannot write {self._file.path}: {error.strerror or type(error).__name__}"
            return Settlement("retry", delay=wait, hold=wait, reason=reason)
        return Settlement("delivered")

    async def aclose(self, grace: float = 5.0) -> None:
        """Nothing is held."""
