"""The files that come with a message, as an agent can use them: pictures, text, or a name and what is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from dspy_session.errors import ConfigurationError, PlatformError
from dspy_session_chat.files.media import HEAD, IMAGES, TEXT, media_type, pixels, text_of
from dspy_session_chat.files.pdf import PDF, SECONDS, pages_of
from dspy_session_chat.inbound import Attachment
from dspy_session_chat.markup.cleaning import clean, clean_line
from dspy_session_chat.platform import CanFetch

READERS = 2
"""PDFs that a bot reads at once: each takes a process, and may take a gigabyte in it."""
READABLE = IMAGES | {TEXT, PDF}
"""Media types that are read."""

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much of the files of one message is read.

    Args:
        count: Files.
        bytes_each: Bytes of one file. Providers take pictures of 5 MB and more.
        bytes_total: Bytes of all files together: they are held in memory until the message is answered.
        pixels: Pixels of one picture: a file of some kilobytes may unfold to gigabytes where it is looked at.
        text_characters: Characters of all text together; what is longer is cut.
        pages: Pages of one PDF.
        types: Media types that are read, of ``READABLE``.
        seconds: How long all of them may take to arrive.

    Raises:
        ConfigurationError: A limit is not positive, or a type is none that can be read.
    """

    count: int = 5
    bytes_each: int = 5_000_000
    bytes_total: int = 20_000_000
    pixels: int = 50_000_000
    text_characters: int = 50_000
    pages: int = 200
    types: frozenset[str] = READABLE
    seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("count", "bytes_each", "bytes_total", "pixels", "text_characters", "pages", "seconds"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"the limit {name} of files must be more than 0; got {getattr(self, name)}")
        unknown = sorted(set(self.types) - READABLE)
        if unknown:
            raise ConfigurationError(
                f"files of the type {', '.join(unknown)} cannot be read; these can: {', '.join(sorted(READABLE))}"
            )


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A picture.

    Args:
        name: Its file's name, on one line.
        media_type: What it is, by what is in it.
        data: The file.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)

    @property
    def description(self) -> str:
        """The file in one line."""
        return f"{self.name} ({self.media_type}, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text.

    Args:
        name: Its file's name, on one line.
        text: What is in it, cleaned.
        characters: How many characters it has altogether; of a PDF, its pages that were read.
        pages_read: Pages of a PDF that were read.
        pages: How many it has.
    """

    name: str
    text: str
    characters: int
    pages_read: int = 0
    pages: int = 0

    @property
    def part(self) -> str:
        """How much of it that is; empty for all."""
        if len(self.text) < self.characters:
            return f"the first {len(self.text):,} of {self.characters:,} characters"
        return f"the first {self.pages_read} of {self.pages} pages" if self.pages_read < self.pages else ""


@dataclass(frozen=True, slots=True)
class DescribedFile:
    """A file of which no more is told than its name and kind.

    Args:
        name: Its name, on one line.
        description: The file in one line.
        reason: Why it was not read, for the person who sent it; empty when there is nothing to say.
    """

    name: str
    description: str
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of a message's files.

    Args:
        images: Pictures.
        texts: Texts.
        described: The others.
    """

    images: tuple[ImageFile, ...] = ()
    texts: tuple[TextFile, ...] = ()
    described: tuple[DescribedFile, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not read, a line each for the person who sent it."""
        unread = [f"{file.name} was not read: {file.reason}." for file in self.described if file.reason]
        cut = [f"Of {file.name}, {file.part} were read." for file in self.texts if file.part]
        return (*unread, *cut)


class _NotRead(Exception):  # noqa: N818  # not an error: how a file is put aside
    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


async def read_attachments(
    attachments: Iterable[Attachment],
    source: CanFetch,
    limits: FileLimits | None = None,
    *,
    images: bool = True,
    readers: asyncio.Semaphore | None = None,
) -> Read:
    """Fetch the files of a message, one after the other, and read them.

    No file makes this fail: what cannot be had or read is among the described ones, with the reason.

    Args:
        attachments: The files.
        source: Where they are fetched: the platform, or a ``Downloader``.
        limits: How much is read.
        images: False when the agent takes no pictures: then they are described.
        readers: Taken while a PDF is read; if None, any number of them is read at once.
    """
    reading = _Reading(source, limits or FileLimits(), readers or asyncio.Semaphore(), images=images)
    for attachment in attachments:
        await reading.take(attachment)
    return Read(tuple(reading.images), tuple(reading.texts), tuple(reading.described))


class _Reading:
    def __init__(self, source: CanFetch, limits: FileLimits, readers: asyncio.Semaphore, *, images: bool) -> None:
        self.images: list[ImageFile] = []
        self.texts: list[TextFile] = []
        self.described: list[DescribedFile] = []
        self._source = source
        self._limits = limits
        self._readers = readers
        self._wants_images = images
        self._begun = 0
        self._bytes_left = limits.bytes_total
        self._characters_left = limits.text_characters
        self._deadline = asyncio.get_running_loop().time() + limits.seconds

    async def take(self, attachment: Attachment) -> None:
        """Read one file."""
        name = clean_line(attachment.name, _LONGEST_NAME) or "file"
        try:
            kind, data = await self._fetched(attachment)
            if kind in IMAGES:
                self._check_picture(kind, data)
                self.images.append(ImageFile(name, kind, data))
            elif kind == PDF:
                await self._keep_pages(name, data)
            else:
                self._keep_text(name, text_of(data))
        except _NotRead as why:
            self._describe(name, attachment, why)
        except PlatformError as error:
            self._describe(name, attachment, _NotRead(clean_line(str(error)).rstrip(".")))
        except TimeoutError:
            self._describe(name, attachment, _NotRead("it took too long to arrive"))

    def _describe(self, name: str, attachment: Attachment, why: _NotRead) -> None:
        kind = why.kind or clean_line(attachment.media_type, _LONGEST_NAME) or "unknown type"
        self.described.append(DescribedFile(name, f"{name} ({kind}, {attachment.size} bytes)", why.reason))

    async def _fetched(self, attachment: Attachment) -> tuple[str, bytes]:
        limits = self._limits
        if self._begun == limits.count:
            raise _NotRead(f"no more than {limits.count} files of a message are read")
        self._begun += 1
        self._check_size(attachment.size)
        kind, data = "", bytearray()
        try:
            async with asyncio.timeout_at(self._deadline), self._source.fetch(attachment) as pieces:
                async for piece in pieces:
                    data += piece
                    # What is neither wanted nor small enough is not fetched to its end.
                    self._check_size(len(data))
                    if not kind and len(data) >= HEAD:
                        kind = self._wanted(bytes(data[:HEAD]))
        finally:
            self._bytes_left -= min(len(data), self._bytes_left)
        return kind or self._wanted(bytes(data)), bytes(data)

    def _check_size(self, size: int) -> None:
        if size > self._limits.bytes_each:
            raise _NotRead(f"it is larger than {_amount(self._limits.bytes_each)}")
        if size > self._bytes_left:
            raise _NotRead(f"the files of a message may have {_amount(self._limits.bytes_total)} together")

    def _wanted(self, head: bytes) -> str:
        kind = media_type(head)
        if kind in IMAGES and not self._wants_images:
            raise _NotRead("", kind)
        if kind not in self._limits.types:
            readable = _readable(self._limits.types)
            raise _NotRead(
                f"{f'files of the type {kind}' if kind else 'its type'} cannot be read, {readable} can", kind
            )
        return kind

    def _check_picture(self, kind: str, data: bytes) -> None:
        count = pixels(data)
        if count is None:
            raise _NotRead("the picture is damaged", kind)
        if count > self._limits.pixels:
            raise _NotRead(f"the picture has more than {self._limits.pixels / 1_000_000:g} million pixels", kind)

    async def _keep_pages(self, name: str, data: bytes) -> None:
        """Keep the text of a PDF, of as many pages as there is room and time for."""
        limits, loop = self._limits, asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._readers.acquire()
        except TimeoutError:
            raise _NotRead("too many PDFs are being read at the moment", PDF) from None
        try:
            seconds = max(0.0, min(SECONDS, self._deadline - loop.time()))
            read = await pages_of(data, pages=limits.pages, characters=self._characters_left, seconds=seconds)
        finally:
            self._readers.release()
        if read.problem:
            raise _NotRead(read.problem, PDF)
        self._keep_text(name, read.text, read.read, read.there_are)

    def _keep_text(self, name: str, text: str | None, pages_read: int = 0, pages: int = 0) -> None:
        if text is None:
            raise _NotRead("it is neither a picture nor text in UTF-8")
        text = clean(text)
        kept = text[: self._characters_left]
        if text and not kept:
            raise _NotRead(f"no more than {self._limits.text_characters:,} characters of text are read")
        self._characters_left -= len(kept)
        self.texts.append(TextFile(name, kept, len(text), pages_read, pages))


def _readable(types: frozenset[str]) -> str:
    """What can be read, for people."""
    kinds = ["pictures (PNG, JPEG, GIF, WebP)"] if types & IMAGES else []
    kinds += ["PDFs"] if PDF in types else []
    kinds += ["text"] if TEXT in types else []
    return f"{', '.join(kinds[:-1])} and {kinds[-1]}" if len(kinds) > 1 else kinds[0]


def _amount(size: int) -> str:
    return f"{size / 1_000_000:g} MB" if size >= 1_000_000 else f"{size / 1_000:g} kB"
