from __future__ import annotations

from collections.abc import Iterator

import dspy
import pytest

from tests.stub_lm import StubModel


@pytest.fixture
def stub() -> Iterator[StubModel]:
    """A model that repeats what it is asked and counts what was said before, for every thread and task."""
    stub = StubModel()
    dspy.configure(lm=stub.lm)
    yield stub
    dspy.configure(lm=None)
