"""Run by Alembic, with the options that `migrate` puts into the configuration's attributes."""

from __future__ import annotations

from alembic import context

from cloud_integrations.backends.sqlalchemy.schema import VERSION_TABLE, metadata

context.configure(
    **context.config.attributes["cloud_integrations"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
