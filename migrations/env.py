"""Alembic's environment. It imports nothing of ours: the connection and, for comparing, the metadata are
handed in by whoever runs it (`app.store.schema`)."""

from alembic import context


def run() -> None:
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=attributes.get("metadata"),
        # SQLite cannot alter a table in place.
        render_as_batch=attributes["connection"].dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
