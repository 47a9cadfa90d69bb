"""The only room that knows hippynn."""
