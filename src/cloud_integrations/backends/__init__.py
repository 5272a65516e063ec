"""The ports made real; each backend is an optional extra."""
