"""What the interpreter gives: time, chance, locks, caches, and the way between the two doors."""
