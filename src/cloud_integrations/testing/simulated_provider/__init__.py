"""A provider that lives in memory, its transports, and what it does wrong on request."""
