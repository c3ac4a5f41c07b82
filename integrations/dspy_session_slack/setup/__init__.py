"""What a Slack app needs, and whether it has it: tokens, scopes, its manifest, and signing in."""
