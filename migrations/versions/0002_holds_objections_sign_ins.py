"""Holds on agreements, objections to releases, sessions of the pages, subjects, superseding batches"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("credentials", sa.Column("subject", sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_credentials_subject"), "credentials", ["subject"], unique=True)
    op.add_column("batches", sa.Column("supersedes", sa.String(length=64), nullable=True))
    op.create_table(
        "sign_ins",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credentials.id"], name=op.f("fk_sign_ins_credential_id_credentials")
        ),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_sign_ins")),
    )
    op.create_index(op.f("ix_sign_ins_credential_id"), "sign_ins", ["credential_id"], unique=False)
    op.create_table(
        "holds",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("agreement_id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["agreement_id"], ["agreements.id"], name=op.f("fk_holds_agreement_id_agreements")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_holds_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_agreement_id"), "holds", ["agreement_id"], unique=False)
    op.create_table(
        "objections",
        sa.Column("release_id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("objected_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["release_id"], ["releases.id"], name=op.f("fk_objections_release_id_releases")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_objections_organization_id_organizations"),
        ),
        sa.PrimaryKeyConstraint("release_id", "organization_id", name=op.f("pk_objections")),
    )


def downgrade() -> None:
    op.drop_table("objections")
    op.drop_index(op.f("ix_holds_agreement_id"), table_name="holds")
    op.drop_table("holds")
    op.drop_index(op.f("ix_sign_ins_credential_id"), table_name="sign_ins")
    op.drop_table("sign_ins")
    op.drop_column("batches", "supersedes")
    op.drop_index(op.f("ix_credentials_subject"), table_name="credentials")
    op.drop_column("credentials", "subject")
