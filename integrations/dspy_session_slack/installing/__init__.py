"""Workspaces that install the app by themselves, and those that take it out."""
