"""What was found while a platform's setup was looked over, for whoever sets it up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: What it is, in a few words: ``"read direct messages"``.
        holds: True if it is as it must be, False if it has to be mended; None for what cannot be known, and for what
            may be meant so.
        says: What was found, in a line.
        mend: What to do about it, as a sentence; several findings may have one in common.
    """

    what: str
    holds: bool | None
    says: str = ""
    mend: str = ""


def mends(findings: Iterable[Finding]) -> list[str]:
    """What there is to do, each thing once."""
    return list(dict.fromkeys(finding.mend for finding in findings if finding.holds is False and finding.mend))
