"""Markdown and plain words: cut, closed, cleaned, and made harmless. Pure."""
