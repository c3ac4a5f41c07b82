"""Sessions that remember, for any DSPy module."""

from dspy_session.errors import ConfigurationError, SessionError, StateFileError, UnsupportedValueError
from dspy_session.examples import read_examples
from dspy_session.projection import (
    get_child_l1_ledger,
    get_current_history,
    get_execution_trace,
    get_node_memory,
    get_outer_history,
)
from dspy_session.rival import warn_of_rival
from dspy_session.session import Session, sessionify, with_memory
from dspy_session.state import Outcome, SessionState
from dspy_session.turn import Turn

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "Outcome",
    "Session",
    "SessionError",
    "SessionState",
    "StateFileError",
    "Turn",
    "UnsupportedValueError",
    "get_child_l1_ledger",
    "get_current_history",
    "get_execution_trace",
    "get_node_memory",
    "get_outer_history",
    "read_examples",
    "sessionify",
    "with_memory",
]

warn_of_rival()
