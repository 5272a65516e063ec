"""Flows of an integration that is connected."""
