"""A provider in memory, its transports and its HTTP server, and the errors that it makes on request."""
