"""Alembic's entry: runs on the connection that :mod:`kafila.store.migrate` hands over, or on ``DATABASE_URL``."""

import os

from alembic import context

from kafila.store.tables import metadata

config = context.config


def run(connection: object) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


if (given := config.attributes.get("connection")) is not None:
    run(given)
else:
    import psycopg
    from sqlalchemy import create_engine

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(os.environ["DATABASE_URL"]))
    with engine.connect() as opened:
        run(opened)
        opened.commit()
