"""Sessions of people who signed in at the identity provider"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sign_ins") as table:
        table.alter_column("credential_id", existing_type=sa.String(length=64), nullable=True)
        table.add_column(sa.Column("subject", sa.String(length=255), nullable=True))
        table.add_column(sa.Column("organization", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("role", sa.String(length=20), nullable=True))


def downgrade() -> None:
    # These sessions rest on nothing that the older schema knows.
    op.execute("DELETE FROM sign_ins WHERE credential_id IS NULL")
    with op.batch_alter_table("sign_ins") as table:
        table.drop_column("role")
        table.drop_column("organization")
        table.drop_column("subject")
        table.alter_column("credential_id", existing_type=sa.String(length=64), nullable=False)
