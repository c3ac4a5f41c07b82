"""What the bot says in Discord, and where."""
