"""``python -m dspy_session_bots`` is ``dspy-bots``."""

from dspy_session_bots.cli import main

main()
