"""The store's operations, by subject: plain functions over SQLAlchemy's `Connection`."""
