"""What each port promises, as tests for those who implement it."""
