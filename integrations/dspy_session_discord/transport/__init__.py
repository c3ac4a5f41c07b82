"""How the bot gets into Discord and stays there: its client, its sessions with the gateway."""
