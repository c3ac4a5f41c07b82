"""What people write and do in Discord, on its way to the bot; also what it missed."""
