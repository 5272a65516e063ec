"""Values and decisions: frozen values and pure functions, without I/O."""
