"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    create_answers()
    create_counters()
    create_projects()
    create_users()
    create_certificates()
    create_events()
    create_instances()
    create_members()
    create_nodes()
    create_tokens()
    create_capacities()
    create_partitions()
    create_presence()
    create_supplies()
    create_usage()
    create_partition_capabilities()
    op.execute("INSERT INTO counters (name, value) VALUES ('generation', 0)")
    op.execute("INSERT INTO projects (reference, created) VALUES ('main', 0)")


def create_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("actor", sa.String(length=240), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("date", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "key", name="pk_answers"),
    )
    op.create_index("ix_answers_date", "answers", ["date"], unique=False)


def create_counters() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )


def create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reference", name="pk_projects"),
    )


def create_users() -> None:
    op.create_table(
        "users",
        sa.Column("login", sa.String(length=200), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("operator", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("login", name="pk_users"),
    )


def create_certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(length=80), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_certificates_project"),
        sa.PrimaryKeyConstraint("serial", name="pk_certificates"),
    )
    op.create_index("ix_certificates_reference", "certificates", ["kind", "reference"], unique=False)


def create_events() -> None:
    op.create_table(
        "events",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("date", sa.BigInteger(), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_events_project"),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_subject_number", "events", ["subject", "number"], unique=False)


def create_instances() -> None:
    op.create_table(
        "instances",
        *instance_columns(),
        *instance_report_columns(),
        sa.ForeignKeyConstraint(["host"], ["instances.number"], name="fk_instances_host"),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_instances_project"),
        sa.ForeignKeyConstraint(["requester"], ["instances.number"], name="fk_instances_requester"),
        sa.ForeignKeyConstraint(["tree"], ["instances.number"], name="fk_instances_tree"),
        sa.PrimaryKeyConstraint("number", name="pk_instances"),
        sqlite_autoincrement=True,
    )
    create_instance_indexes()


def instance_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("tree", NUMBER, nullable=True),
        sa.Column("requester", NUMBER, nullable=True),
        sa.Column("orphan", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("host", NUMBER, nullable=True),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("software_type", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("parameters", sa.Text(), server_default="{}", nullable=False),
        sa.Column("sla", sa.Text(), server_default="{}", nullable=False),
        sa.Column("connection", sa.Text(), server_default="{}", nullable=False),
    ]


def instance_report_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("spread", sa.Text(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("retained", sa.BigInteger(), nullable=True),
        sa.Column("gone", sa.BigInteger(), nullable=True),
        sa.Column("pending", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("wanted_node", NUMBER, nullable=True),
        sa.Column("reasons", sa.Text(), server_default="[]", nullable=False),
        sa.Column("reported_state", sa.String(length=20), server_default="", nullable=False),
        sa.Column("health", sa.String(length=20), nullable=False),
        sa.Column("sentence", sa.Text(), server_default="", nullable=False),
        sa.Column("promises", sa.Text(), server_default="[]", nullable=False),
        sa.Column("processed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reported", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    ]


def create_instance_indexes() -> None:
    op.create_index("ix_instances_host", "instances", ["host"], unique=False)
    op.create_index(
        "ix_instances_hosts",
        "instances",
        ["project", "release"],
        unique=False,
        sqlite_where=sa.text("gone IS NULL"),
        postgresql_where=sa.text("gone IS NULL"),
    )
    op.create_index(
        "ix_instances_pending",
        "instances",
        ["release", "number"],
        unique=False,
        sqlite_where=sa.text("pending = 1"),
        postgresql_where=sa.text("pending"),
    )
    op.create_index("ix_instances_requester", "instances", ["requester"], unique=False)
    op.create_index(
        "ix_instances_retained",
        "instances",
        ["retained"],
        unique=False,
        sqlite_where=sa.text("retained IS NOT NULL AND gone IS NULL"),
        postgresql_where=sa.text("retained IS NOT NULL AND gone IS NULL"),
    )
    create_title_indexes()


def create_title_indexes() -> None:
    op.create_index(
        "ux_instances_root_title",
        "instances",
        ["project", "title"],
        unique=True,
        sqlite_where=sa.text("requester IS NULL AND gone IS NULL"),
        postgresql_where=sa.text("requester IS NULL AND gone IS NULL"),
    )
    op.create_index(
        "ux_instances_tree_title",
        "instances",
        ["tree", "title"],
        unique=True,
        sqlite_where=sa.text("gone IS NULL"),
        postgresql_where=sa.text("gone IS NULL"),
    )


def create_members() -> None:
    op.create_table(
        "members",
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("login", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["login"], ["users.login"], name="fk_members_login"),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_members_project"),
        sa.PrimaryKeyConstraint("project", "login", name="pk_members"),
    )
    op.create_index("ix_members_login", "members", ["login"], unique=False)


def create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("network", sa.String(length=200), server_default="", nullable=False),
        sa.Column("details", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("formatted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reset_generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_nodes_project"),
        sa.PrimaryKeyConstraint("number", name="pk_nodes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_nodes_project", "nodes", ["project"], unique=False)


def create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=200), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.String(length=20), server_default="", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_tokens_project"),
        sa.PrimaryKeyConstraint("digest", name="pk_tokens"),
    )


def create_capacities() -> None:
    op.create_table(
        "capacities",
        sa.Column("node", NUMBER, nullable=False),
        sa.Column("capability", sa.String(length=200), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("free", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.number"], name="fk_capacities_node"),
        sa.PrimaryKeyConstraint("node", "capability", name="pk_capacities"),
    )


def create_partitions() -> None:
    op.create_table(
        "partitions",
        sa.Column("node", NUMBER, nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("addresses", sa.Text(), server_default="[]", nullable=False),
        sa.Column("capabilities", sa.Text(), server_default="[]", nullable=False),
        sa.Column("formatted", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("instance", NUMBER, nullable=True),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["instance"], ["instances.number"], name="fk_partitions_instance"),
        sa.ForeignKeyConstraint(["node"], ["nodes.number"], name="fk_partitions_node"),
        sa.PrimaryKeyConstraint("node", "reference", name="pk_partitions"),
    )
    op.create_index(
        "ix_partitions_free",
        "partitions",
        ["node", "position"],
        unique=False,
        sqlite_where=sa.text("instance IS NULL AND formatted = 1"),
        postgresql_where=sa.text("instance IS NULL AND formatted"),
    )
    op.create_index("ix_partitions_node_generation", "partitions", ["node", "generation"], unique=False)
    op.create_index(
        "ux_partitions_instance",
        "partitions",
        ["instance"],
        unique=True,
        sqlite_where=sa.text("instance IS NOT NULL"),
        postgresql_where=sa.text("instance IS NOT NULL"),
    )


def create_presence() -> None:
    op.create_table(
        "presence",
        sa.Column("node", NUMBER, autoincrement=False, nullable=False),
        sa.Column("seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("planned", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.number"], name="fk_presence_node"),
        sa.PrimaryKeyConstraint("node", name="pk_presence"),
    )


def create_supplies() -> None:
    op.create_table(
        "supplies",
        sa.Column("node", NUMBER, nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reported", sa.String(length=20), nullable=False),
        sa.Column("sentence", sa.Text(), server_default="", nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.number"], name="fk_supplies_node"),
        sa.PrimaryKeyConstraint("node", "release", name="pk_supplies"),
    )
    op.create_index("ix_supplies_node_generation", "supplies", ["node", "generation"], unique=False)
    op.create_index("ix_supplies_release_node", "supplies", ["release", "node"], unique=False)


def create_usage() -> None:
    op.create_table(
        "usage",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("node", NUMBER, nullable=False),
        sa.Column("identifier", sa.String(length=200), nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.number"], name="fk_usage_node"),
        sa.ForeignKeyConstraint(["project"], ["projects.reference"], name="fk_usage_project"),
        sa.PrimaryKeyConstraint("number", name="pk_usage"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_usage_project", "usage", ["project"], unique=False)
    op.create_index("ux_usage_node_identifier", "usage", ["node", "identifier"], unique=True)


def create_partition_capabilities() -> None:
    op.create_table(
        "partition_capabilities",
        sa.Column("node", NUMBER, nullable=False),
        sa.Column("capability", sa.String(length=200), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["node", "reference"],
            ["partitions.node", "partitions.reference"],
            name="fk_partition_capabilities_node_reference",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("node", "capability", "reference", name="pk_partition_capabilities"),
    )
