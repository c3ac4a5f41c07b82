"""The files that come with messages: fetched in measure, told by what is in them, handed to the agent."""
