"""HTTP clients behind the `Transport` port."""
