"""One use case per file, each a coroutine over ports."""
