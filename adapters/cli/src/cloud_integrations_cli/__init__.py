"""`cloud_integrations` as a command line; nothing is loaded before a command needs it."""
