"""What lies behind the failure of an instance or of a supply: reference, context (log, its last lines), hint."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("instances", "supplies"):
        op.add_column(table, sa.Column("error", sa.Text(), server_default="{}", nullable=False))
