"""Requests that other masters serve; nodes, and who enrols with certain tokens, for whom the master makes the keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ZERO, _FALSE = sa.text("0"), sa.text("false")


def upgrade() -> None:
    op.add_column("tokens", sa.Column("legacy_keys", sa.Boolean(), server_default=_FALSE, nullable=False))
    op.add_column("nodes", sa.Column("legacy_keys", sa.Boolean(), server_default=_FALSE, nullable=False))
    op.add_column("instances", sa.Column("forwarded", sa.Boolean(), server_default=_FALSE, nullable=False))
    op.create_table(
        "forwards",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("tree", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("instance", _NUMBER, nullable=True),
        sa.Column("master", sa.Text(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("sent", sa.Text(), server_default="{}", nullable=False),
        sa.Column("node", sa.String(200), server_default="", nullable=False),
        sa.Column("partition", sa.String(200), server_default="", nullable=False),
        sa.Column("guid", sa.String(200), server_default="", nullable=False),
        sa.Column("answered", sa.BigInteger(), server_default=_ZERO, nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=_ZERO, nullable=False),
        sa.ForeignKeyConstraint(["instance"], ["instances.number"], name="fk_forwards_instance"),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_forwards_project"),
        sa.PrimaryKeyConstraint("number", name="pk_forwards"),
        sqlite_autoincrement=True,
    )
    op.create_index("ux_forwards_master_title", "forwards", ["master", "title"], unique=True)
    op.create_index("ux_forwards_instance", "forwards", ["instance"], unique=True)
    op.create_index("ix_forwards_project_name", "forwards", ["project", "name"])
    op.create_index("ix_forwards_due", "forwards", ["due"])
