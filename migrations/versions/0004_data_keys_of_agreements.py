"""Data keys know their agreement, whose own key wraps them"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("data_keys", sa.Column("agreement_id", sa.String(length=64), nullable=True))
    for table in ("batches", "runs"):
        op.execute(
            f"UPDATE data_keys SET agreement_id = (SELECT t.agreement_id FROM {table} t "  # noqa: S608
            "WHERE t.id = data_keys.owner) WHERE agreement_id IS NULL"
        )
    # A key whose owner is gone opens nothing that any row names.
    op.execute("DELETE FROM data_keys WHERE agreement_id IS NULL")
    with op.batch_alter_table("data_keys") as table_of_keys:
        table_of_keys.alter_column("agreement_id", existing_type=sa.String(length=64), nullable=False)
        table_of_keys.create_foreign_key(
            op.f("fk_data_keys_agreement_id_agreements"), "agreements", ["agreement_id"], ["id"]
        )
        table_of_keys.create_index(op.f("ix_data_keys_agreement_id"), ["agreement_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("data_keys") as table_of_keys:
        table_of_keys.drop_index(op.f("ix_data_keys_agreement_id"))
        table_of_keys.drop_constraint(op.f("fk_data_keys_agreement_id_agreements"), type_="foreignkey")
        table_of_keys.drop_column("agreement_id")
