"""What Alembic runs: the migrations on the connection that `database.upgrade` hands over."""

from __future__ import annotations

from alembic import context


def migrate() -> None:
    """Run what is missing on the connection in the configuration's attributes."""
    from napari_tumorseg.annotation.study.tables import Base

    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
    context.run_migrations()


# Importing this file by itself, as tools that look at modules do, does nothing.
if getattr(context, "config", None) is not None:
    migrate()
