"""Telemetries: metrics and traces, in the forms of others."""
