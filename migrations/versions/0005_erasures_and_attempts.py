"""Keys that are to be dropped from the key store; attempts to sign in, counted by all nodes together"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_erasures",
        sa.Column("plane", sa.String(length=20), nullable=False),
        sa.Column("key_id", sa.String(length=200), nullable=False),
        sa.Column("agreement_id", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agreement_id"], ["agreements.id"], name=op.f("fk_key_erasures_agreement_id_agreements")
        ),
        sa.PrimaryKeyConstraint("plane", "key_id", name=op.f("pk_key_erasures")),
    )
    op.create_index(op.f("ix_key_erasures_agreement_id"), "key_erasures", ["agreement_id"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_attempts")),
    )


def downgrade() -> None:
    op.drop_table("attempts")
    op.drop_index(op.f("ix_key_erasures_agreement_id"), "key_erasures")
    op.drop_table("key_erasures")
