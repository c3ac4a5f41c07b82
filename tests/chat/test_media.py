"""What a file is, is told by what is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session_chat.files.media import HEAD, media_type, pixels, text_of
from tests.chat.pictures import gif, jpeg, png, webp


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (png(), "image/png"),
        (jpeg(), "image/jpeg"),
        (gif(), "image/gif"),
        (webp(), "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt \0", "audio/wav"),
        (b"\0\0\0\0\0\0\0\0WEBP", ""),
        (b"%PDF-1.7\n%\xe2", "application/pdf"),
        (b"PK\x03\x04\x14\0", "application/zip"),
        (b"II*\0\x08\0\0\0", "image/tiff"),
        (b"\0\0\0\x18ftypheic\0", "image/heic"),
        (b"BM\x46\0\0\0", "image/bmp"),
        (b"BMW is a brand\n", "text/plain"),
        (b"ID3 tags, explained", "text/plain"),
        (b"<svg onload=alert(1)>", "text/plain"),
        ("grüße".encode(), "text/plain"),
        ("grüße".encode("utf-16"), "text/plain"),
        (b"\x1b[31mred\x1b[0m", "text/plain"),
        (b"", "text/plain"),
        (b"a\0b", ""),
        (b"MZ\x90\0\x03", ""),
    ],
)
def test_a_file_is_what_is_in_it(data: bytes, kind: str) -> None:
    assert media_type(data[:HEAD]) == kind


@pytest.mark.parametrize(
    "data",
    [
        png(300, 200),
        jpeg(300, 200),
        gif(300, 200),
        gif(1, 1, frame=(300, 200)),
        webp(b"VP8X", 300, 200),
        webp(b"VP8L", 300, 200),
        webp(b"VP8 ", 300, 200),
    ],
)
def test_pixels_are_counted_without_unfolding_them(data: bytes) -> None:
    assert pixels(data) == 60_000


@pytest.mark.parametrize("picture", [png(), jpeg(), gif(), webp(), webp(b"VP8L"), webp(b"VP8 ")])
def test_half_a_header_is_no_picture_and_no_crash(picture: bytes) -> None:
    assert pixels(picture) == 4
    assert all(pixels(picture[:end]) in (None, 4) for end in range(len(picture)))
    assert pixels(picture[:12]) is None


@pytest.mark.parametrize(
    "data",
    [
        png(0, 5),
        b"\xff\xd8" + b"\xff\xe1\x00\x02" * 1_000_000,
        b"\xff\xd8" + b"\xff" * 100_000,
        b"\xff\xd8\xff\xe1\x00\x00" * 10,
        gif()[:-1] + b"\x99" * 9,
    ],
)
def test_a_header_that_leads_nowhere_is_no_picture(data: bytes) -> None:
    assert pixels(data) is None


@given(st.sampled_from([png(), jpeg(), gif(), webp()]), st.binary(max_size=40), st.integers(2, 40))
def test_damage_is_never_more_than_no_size(picture: bytes, noise: bytes, place: int) -> None:
    count = pixels(picture[:place] + noise + picture[place + len(noise) :])
    assert count is None or count > 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff")))
def test_text_is_read_by_its_mark(encoding: str, text: str) -> None:
    assert text_of(text.encode(encoding)) == text


@pytest.mark.parametrize("data", [b"\xff\xfe\0", b"caf\xe9", b"a\0b", b"\xef\xbb\xbfa\0b"])
def test_other_bytes_are_no_text(data: bytes) -> None:
    assert text_of(data) is None
