"""Flows that the operator runs: audit, keys, erasure, worker."""
