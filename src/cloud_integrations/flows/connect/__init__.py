"""Flows that connect an account."""
