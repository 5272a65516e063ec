"""What is known about each provider, one file per provider."""
