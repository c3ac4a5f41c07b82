"""Sessions that remember, for any DSPy module."""

__version__ = "0.1.0"
