"""The tables.  Every row belongs to a project, directly or through its node or instance.

Numbers, not texts, identify nodes and instances here: ``COMP-<n>`` and ``SOFTINST-<n>`` are written and read by
:mod:`slapos.master.storage.identities`.  They come from AUTOINCREMENT (SQLite) or a sequence (PostgreSQL) and are
never reused.  Mappings are JSON texts whose key order is kept, because recipes store what they read and reinstall
when anything differs.  Dates are UTC epoch seconds.

``generation`` columns hold the master's counter at the last change that a node must see; they are written at the
end of each transaction (:mod:`slapos.master.storage.transaction`).  ``gone`` is the date at which the destruction
of an instance was complete: until then the instance is live, keeps its title and its partition.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives AUTOINCREMENT to a column of type INTEGER only; its integers have 64 bits anyway.
Number = BigInteger().with_variant(Integer(), "sqlite")

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("reference", String(200), primary_key=True),
    Column("created", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("login", String(200), primary_key=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("operator", Boolean, nullable=False, server_default=text("false")),
    Column("created", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("project", ForeignKey("projects.reference"), nullable=False),
    Column("login", ForeignKey("users.login"), nullable=False, index=True),
    Column("role", String(20), nullable=False),
    PrimaryKeyConstraint("project", "login"),
)

nodes = Table(
    "nodes",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("project", ForeignKey("projects.reference"), nullable=False, index=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("network", String(200), nullable=False, server_default=""),
    Column("details", Text, nullable=False, server_default="{}"),
    Column("created", BigInteger, nullable=False),
    Column("formatted", BigInteger, nullable=False, server_default=text("0")),  # date; 0: never
    # A node that knows less than this generation is told everything (format changed, a supply was forgotten).
    Column("reset_generation", BigInteger, nullable=False, server_default=text("0")),
    # Keys for its certificates are made by the master, once per call, and kept nowhere (enrolled with --legacy-keys).
    Column("legacy_keys", Boolean, nullable=False, server_default=text("false")),
    sqlite_autoincrement=True,
)

# Apart from ``nodes``: a sign of life must not wait for a transaction that holds the node's row.
presence = Table(
    "presence",
    metadata,
    Column("node", ForeignKey("nodes.number"), primary_key=True, autoincrement=False),
    Column("seen", BigInteger, nullable=False, server_default=text("0")),
    Column("plan", Text, nullable=True),
    Column("planned", BigInteger, nullable=False, server_default=text("0")),
)

# How many partitions a node has and how many are free, by capability ("" for partitions that have none), so that
# an allocation never counts partitions.
capacities = Table(
    "capacities",
    metadata,
    Column("node", ForeignKey("nodes.number"), nullable=False),
    Column("capability", String(200), nullable=False),
    Column("total", Integer, nullable=False),
    Column("free", Integer, nullable=False),
    PrimaryKeyConstraint("node", "capability"),
)

instances = Table(
    "instances",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("project", ForeignKey("projects.reference"), nullable=False),
    Column("title", String(200), nullable=False),
    Column("tree", ForeignKey("instances.number"), nullable=True),  # number of the root; its own for a root
    Column("requester", ForeignKey("instances.number"), nullable=True, index=True),  # null for a root
    Column("orphan", Boolean, nullable=False, server_default=text("false")),
    Column("shared", Boolean, nullable=False, server_default=text("false")),
    Column("host", ForeignKey("instances.number"), nullable=True, index=True),
    Column("release", Text, nullable=False),
    Column("software_type", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("parameters", Text, nullable=False, server_default="{}"),
    Column("sla", Text, nullable=False, server_default="{}"),
    Column("connection", Text, nullable=False, server_default="{}"),
    Column("spread", Text, nullable=True),  # sla["spread"], to find the tree's other instances by it
    Column("created", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("retained", BigInteger, nullable=True),  # destroyed, but kept stopped until this date
    Column("gone", BigInteger, nullable=True),
    Column("pending", Boolean, nullable=False, server_default=text("false")),  # capacity could serve it
    Column("wanted_node", Number, nullable=True),  # sla["computer_guid"], to serve a pending request quickly
    Column("reasons", Text, nullable=False, server_default="[]"),
    Column("reported_state", String(20), nullable=False, server_default=""),
    Column("health", String(20), nullable=False),
    Column("sentence", Text, nullable=False, server_default=""),
    Column("promises", Text, nullable=False, server_default="[]"),
    Column("processed", BigInteger, nullable=False, server_default=text("0")),  # timestamp of the last report
    Column("reported", BigInteger, nullable=False, server_default=text("0")),  # date of the last report
    Column("error", Text, nullable=False, server_default="{}"),  # behind the last failure, until a success
    Column("forwarded", Boolean, nullable=False, server_default=text("false")),  # another master serves it
    sqlite_autoincrement=True,
)
_live_root = text("requester IS NULL AND gone IS NULL")
Index(
    "ux_instances_root_title",
    instances.c.project,
    instances.c.title,
    unique=True,
    sqlite_where=_live_root,
    postgresql_where=_live_root,
)
_live = text("gone IS NULL")
Index(
    "ux_instances_tree_title",
    instances.c.tree,
    instances.c.title,
    unique=True,
    sqlite_where=_live,
    postgresql_where=_live,
)
# SQLAlchemy compares booleans with 1 on SQLite; an index counts only when its condition is written the same way.
Index(
    "ix_instances_pending",
    instances.c.release,
    instances.c.number,
    sqlite_where=text("pending = 1"),
    postgresql_where=text("pending"),
)
Index(
    "ix_instances_hosts",
    instances.c.project,
    instances.c.release,
    sqlite_where=_live,
    postgresql_where=_live,
)
_retained = text("retained IS NOT NULL AND gone IS NULL")
Index("ix_instances_retained", instances.c.retained, sqlite_where=_retained, postgresql_where=_retained)

# The only place that says where an instance lives: one column per partition, unique over all partitions.
partitions = Table(
    "partitions",
    metadata,
    Column("node", ForeignKey("nodes.number"), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("position", Integer, nullable=False),
    Column("addresses", Text, nullable=False, server_default="[]"),
    Column("capabilities", Text, nullable=False, server_default="[]"),
    Column("formatted", Boolean, nullable=False, server_default=text("true")),  # false: gone from the node's format
    Column("instance", ForeignKey("instances.number"), nullable=True),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("node", "reference"),
    Index("ix_partitions_node_generation", "node", "generation"),
)
_busy = text("instance IS NOT NULL")
Index("ux_partitions_instance", partitions.c.instance, unique=True, sqlite_where=_busy, postgresql_where=_busy)
Index(
    "ix_partitions_free",
    partitions.c.node,
    partitions.c.position,
    sqlite_where=text("instance IS NULL AND formatted = 1"),
    postgresql_where=text("instance IS NULL AND formatted"),
)

# Requests that another master serves.  The row is written before that master is asked, so that whatever it may hold
# for us is known here; without ``instance`` until the order is acknowledged.  Deleted when nothing is left there.
forwards = Table(
    "forwards",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("project", ForeignKey("projects.reference"), nullable=False),
    Column("tree", BigInteger, nullable=False),  # the root's number, 0 while the order is that of a new root
    Column("name", String(200), nullable=False),  # the title here
    Column("instance", ForeignKey("instances.number"), nullable=True),
    Column("master", Text, nullable=False),
    Column("title", String(200), nullable=False),  # the title there
    Column("sent", Text, nullable=False, server_default="{}"),  # release, type and kind, as they were sent last
    Column("node", String(200), nullable=False, server_default=""),  # as that master names them; "": no place yet
    Column("partition", String(200), nullable=False, server_default=""),
    Column("guid", String(200), nullable=False, server_default=""),
    Column("answered", BigInteger, nullable=False, server_default=text("0")),  # date of its last answer
    Column("due", BigInteger, nullable=False, index=True),  # when to ask again
    Column("tries", Integer, nullable=False, server_default=text("0")),  # since something changed
    Index("ux_forwards_master_title", "master", "title", unique=True),
    Index("ux_forwards_instance", "instance", unique=True),
    Index("ix_forwards_project_name", "project", "name"),
    sqlite_autoincrement=True,
)

partition_capabilities = Table(
    "partition_capabilities",
    metadata,
    Column("node", Number, nullable=False),
    Column("capability", String(200), nullable=False),
    Column("reference", String(200), nullable=False),
    PrimaryKeyConstraint("node", "capability", "reference"),
    ForeignKeyConstraint(["node", "reference"], ["partitions.node", "partitions.reference"], ondelete="CASCADE"),
)

supplies = Table(
    "supplies",
    metadata,
    Column("node", ForeignKey("nodes.number"), nullable=False),
    Column("release", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reported", String(20), nullable=False),
    Column("sentence", Text, nullable=False, server_default=""),
    Column("generation", BigInteger, nullable=False, server_default=text("0")),
    Column("error", Text, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("node", "release"),
    Index("ix_supplies_release_node", "release", "node"),
    Index("ix_supplies_node_generation", "node", "generation"),
)

# Bounded: see slapos.master.services.history.
events = Table(
    "events",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("date", BigInteger, nullable=False),
    Column("project", ForeignKey("projects.reference"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("sentence", Text, nullable=False),
    Column("actor", Text, nullable=False, server_default=""),
    Index("ix_events_subject_number", "subject", "number"),
    sqlite_autoincrement=True,
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(80), primary_key=True),
    Column("project", ForeignKey("projects.reference"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("revoked", BigInteger, nullable=True),
    Column("reason", Text, nullable=False, server_default=""),
    Index("ix_certificates_reference", "kind", "reference"),
)

# Only the digest of a token is stored.
tokens = Table(
    "tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("project", ForeignKey("projects.reference"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("reference", String(200), nullable=False, server_default=""),
    Column("name", Text, nullable=False, server_default=""),
    Column("role", String(20), nullable=False, server_default=""),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=True),
    Column("legacy_keys", Boolean, nullable=False, server_default=text("false")),
)

usage = Table(
    "usage",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("node", ForeignKey("nodes.number"), nullable=False),
    Column("identifier", String(200), nullable=False),
    Column("project", ForeignKey("projects.reference"), nullable=False, index=True),
    Column("document", Text, nullable=False),
    Column("received", BigInteger, nullable=False),
    Index("ux_usage_node_identifier", "node", "identifier", unique=True),
    sqlite_autoincrement=True,
)

# What was answered to a write that carried an idempotency key; bounded by age.
answers = Table(
    "answers",
    metadata,
    Column("actor", String(240), nullable=False),
    Column("key", String(200), nullable=False),
    Column("answer", Text, nullable=False),
    Column("date", Float, nullable=False, index=True),
    PrimaryKeyConstraint("actor", "key"),
)
