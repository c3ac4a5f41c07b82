"""PDFs, made by hand."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter


def pdf(*pages: str) -> bytes:
    """A PDF with these words on its pages, of which one may have none."""
    return _written([f"BT /F1 12 Tf 72 720 Td ({words}) Tj ET".encode() if words else b"" for words in pages])


def packed(size: int) -> bytes:
    """A PDF with one page, whose content unfolds to ``size`` bytes of blanks."""
    return _written([b" " * size], packed=True)


def locked(data: bytes, password: str) -> bytes:
    """A PDF that nobody reads who does not know the password."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(password, algorithm="RC4-128")
    return _bytes_of(writer)


def _bytes_of(writer: PdfWriter) -> bytes:
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _written(contents: Sequence[bytes], *, packed: bool = False) -> bytes:
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(contents):
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {font} /Contents {5 + 2 * number} 0 R >>"
        stream, how = (zlib.compress(content), "/Filter /FlateDecode ") if packed else (content, "")
        objects.append(page.encode())
        objects.append(f"<< {how}/Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream")
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + each + b"\nendobj\n"
    table = f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n" + "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer\n<< /Root 1 0 R /Size {len(places) + 1} >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + table.encode() + end.encode()
