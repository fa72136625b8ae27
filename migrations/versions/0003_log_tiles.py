"""Hashes of the log's tree, and cosignatures of witnesses"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WIDTH = 256


def upgrade() -> None:
    hashes = op.create_table(
        "log_hashes",
        sa.Column("level", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("pk_log_hashes")),
    )
    op.create_table(
        "cosignatures",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["size"], ["checkpoints.size"], name=op.f("fk_cosignatures_size_checkpoints")
        ),
        sa.PrimaryKeyConstraint("size", "fingerprint", name=op.f("pk_cosignatures")),
    )
    # Entries that were appended before: each level from the one below, complete subtrees only.
    level = [
        bytes(row[0])
        for row in op.get_bind().execute(sa.text('SELECT leaf_hash FROM log_entries ORDER BY "index"'))
    ]
    number = 0
    while len(level) >= WIDTH:
        number += 1
        level = [_root(level[at : at + WIDTH]) for at in range(0, len(level) - WIDTH + 1, WIDTH)]
        op.bulk_insert(
            hashes, [{"level": number, "place": place, "hash": value} for place, value in enumerate(level)]
        )


def _root(nodes: list[bytes]) -> bytes:
    while len(nodes) > 1:
        nodes = [
            hashlib.sha256(b"\x01" + nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes), 2)
        ]
    return nodes[0]


def downgrade() -> None:
    op.drop_table("cosignatures")
    op.drop_table("log_hashes")
