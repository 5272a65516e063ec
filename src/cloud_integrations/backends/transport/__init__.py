"""HTTP clients that implement the `Transport` port."""
