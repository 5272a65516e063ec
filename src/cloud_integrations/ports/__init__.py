"""What is asked of the world, as protocols."""
