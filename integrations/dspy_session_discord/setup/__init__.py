"""What a Discord bot needs, and whether it has it."""
