"""What each port promises, as tests for those who write a part of their own."""
