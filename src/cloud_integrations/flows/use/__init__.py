"""Flows that use or change a connected integration."""
