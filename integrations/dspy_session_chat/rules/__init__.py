"""How the bot behaves, and what people may ask of it."""
