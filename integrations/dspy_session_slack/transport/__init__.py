"""How Slack reaches the bot: over sockets that the bot opens, or by requests over HTTP."""
