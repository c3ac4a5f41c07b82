"""What the bot offers natively, and having Discord list it."""
