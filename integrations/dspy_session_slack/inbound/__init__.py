"""What people write and do in Slack, on its way to the bot."""
