"""Flows of the operator."""
