"""The front door: ``dspy-bots`` on the command line, and the page to try an agent on."""
