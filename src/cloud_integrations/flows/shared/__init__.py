"""Functions and classes that several flows use."""
