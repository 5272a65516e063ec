"""Implementations of the ports; most need an optional extra of the package."""
