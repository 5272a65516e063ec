"""Flows that renew a credential."""
