"""Cubes are made by workers; the ledger knows vintages and proofs, and can only grow"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('QUEUED', 'RUNNING')")
WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "cubes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("agreement_id", sa.String(length=64), nullable=False),
        sa.Column("agreement_version", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column("indicator", sa.String(length=60), nullable=False),
        sa.Column("cohort", sa.String(length=40), nullable=False),
        sa.Column("vintage", sa.BigInteger(), nullable=False),
        sa.Column("min_cell", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("stage", sa.String(length=40), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("executor", sa.String(length=200), nullable=True),
        sa.Column("heartbeat_at", WHEN, nullable=True),
        sa.Column("cancel_requested_at", WHEN, nullable=True),
        sa.Column("error_code", sa.String(length=60), nullable=True),
        sa.Column("error_detail", sa.String(length=400), nullable=True),
        sa.Column("ledger_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", WHEN, nullable=False),
        sa.Column("started_at", WHEN, nullable=True),
        sa.Column("finished_at", WHEN, nullable=True),
        sa.ForeignKeyConstraint(
            ["agreement_id"], ["agreements.id"], name=op.f("fk_cubes_agreement_id_agreements")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_cubes_run_id_runs")),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["organizations.id"], name=op.f("fk_cubes_requested_by_organizations")
        ),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.id"], name=op.f("fk_cubes_ledger_id_ledger")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cubes")),
    )
    op.create_index(op.f("ix_cubes_agreement_id"), "cubes", ["agreement_id"], unique=False)
    op.create_index(
        "uq_cubes_open",
        "cubes",
        ["agreement_id", "indicator", "cohort"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    with op.batch_alter_table("releases") as table:
        table.add_column(sa.Column("cube_id", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("waiting", sa.JSON(), nullable=True))
        table.create_foreign_key(op.f("fk_releases_cube_id_cubes"), "cubes", ["cube_id"], ["id"])
        table.create_index(op.f("ix_releases_cube_id"), ["cube_id"], unique=False)
    op.drop_index("uq_ledger_question", "ledger")
    for column in (
        sa.Column("vintage", sa.BigInteger(), nullable=False, server_default="1"),
        sa.Column("method", sa.String(length=40), nullable=False, server_default="suppression"),
        sa.Column("epsilon", sa.String(length=20), nullable=True),
        sa.Column("proof", sa.JSON(), nullable=True),
        sa.Column("proof_sha256", sa.String(length=64), nullable=True),
    ):
        op.add_column("ledger", column)
    op.create_index(
        "uq_ledger_question", "ledger", ["agreement_id", "indicator", "cohort", "vintage"], unique=True
    )
    _forbid_changes()


def _forbid_changes() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the ledger only grows'; END $$"
        )
        op.execute(
            "CREATE TRIGGER ledger_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_only_grows()"
        )
        return
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_no_{action.lower()} BEFORE {action} ON ledger "
            "BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER ledger_only_grows ON ledger")
        op.execute("DROP FUNCTION ledger_only_grows()")
    else:
        op.execute("DROP TRIGGER ledger_no_update")
        op.execute("DROP TRIGGER ledger_no_delete")
    op.drop_index("uq_ledger_question", "ledger")
    for column in ("proof_sha256", "proof", "epsilon", "method", "vintage"):
        op.drop_column("ledger", column)
    op.create_index("uq_ledger_question", "ledger", ["agreement_id", "indicator", "cohort"], unique=True)
    with op.batch_alter_table("releases") as table:
        table.drop_index(op.f("ix_releases_cube_id"))
        table.drop_constraint(op.f("fk_releases_cube_id_cubes"), type_="foreignkey")
        table.drop_column("waiting")
        table.drop_column("cube_id")
    op.drop_index("uq_cubes_open", "cubes")
    op.drop_index(op.f("ix_cubes_agreement_id"), "cubes")
    op.drop_table("cubes")
