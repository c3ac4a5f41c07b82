"""Another distribution that provides ``dspy_session`` is not passed over in silence."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from dspy_session.rival import warn_of_rival


def test_a_rival_is_named_with_what_to_do_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "dspy_session-0.1.2.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: dspy-session\nVersion: 0.1.2\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(UserWarning, match=r"dspy-session 0\.1\.2 is installed .*pip uninstall dspy-session, then pip"):
        warn_of_rival()


def test_alone_there_is_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_rival()
