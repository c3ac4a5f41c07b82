"""What the bot says in Slack, and what people see while it is at work."""
