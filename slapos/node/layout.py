"""Where things lie: in a partition (names of ``spec/05``), and in the node's own directories.  Pure."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass

RESOURCE = ".slapos-resource"  # what format writes there; the only file of an empty partition
PRIVATE = ".hyperopenx"
DOCUMENT = f"{PRIVATE}/instance.json"
SERVICE_FACTS = f"{PRIVATE}/services"
PROFILE = "buildout.cfg"
RELEASE_LINK = "software_release"
SERVICES = "etc/service"
RUNS = "etc/run"
PROMISES = "etc/promise"
PLUGINS = "etc/plugin"
REPORTS = "etc/report"
PRERM = "etc/prerm"
DESTROY = "sbin/destroy"
USAGE = "var/xml_report"


def transaction_file(partition: str) -> str:
    """Where recipes note the titles that they request, one a line."""
    return f".slapos-request-transaction-{partition}"


def release_key(release: str) -> str:
    """The md5 of a release's URL: its directory name (``spec/05`` §2)."""
    return hashlib.md5(release.encode(), usedforsecurity=False).hexdigest()


def supervisor_unit(name: str) -> str:
    """What systemd calls the supervisor of the node ``name``, where it runs it."""
    return f"hyperopenx-supervisor-{name}.service"


@dataclass(frozen=True)
class Layout:
    """Paths of one node."""

    state: str
    run: str
    logs: str
    certificates: str

    @property
    def lock(self) -> str:
        """Held by the one daemon of this node."""
        return posixpath.join(self.state, "slapgrid.lock")

    @property
    def desired(self) -> str:
        """The last wanted state."""
        return posixpath.join(self.state, "desired.json")

    @property
    def outbox(self) -> str:
        """Reports that the master has not confirmed."""
        return posixpath.join(self.state, "outbox")

    @property
    def usage(self) -> str:
        """Usage documents that the master has not confirmed."""
        return posixpath.join(self.state, "usage")

    @property
    def services(self) -> str:
        """What the supervisor remembers of each service."""
        return posixpath.join(self.state, "services")

    @property
    def supervisor_unit(self) -> str:
        """Holds the name of the unit in which systemd runs the supervisor; absent where it does not."""
        return posixpath.join(self.state, "supervisor.unit")

    @property
    def uses(self) -> str:
        """What the partitions used so far: processor time, memory, disk."""
        return posixpath.join(self.state, "uses.json")

    @property
    def metrics(self) -> str:
        """Where the daemon answers monitoring, unless configured elsewhere."""
        return posixpath.join(self.run, "metrics.sock")

    @property
    def socket(self) -> str:
        """Where the daemon answers the command line."""
        return posixpath.join(self.run, "slapgrid.sock")

    @property
    def store_record(self) -> str:
        """What is remembered of the store."""
        return posixpath.join(self.state, "store.json")

    @property
    def store_lock(self) -> str:
        """Held while unused parts are removed."""
        return posixpath.join(self.state, "store.lock")

    def partition_record(self, partition: str) -> str:
        """What is remembered of a partition."""
        return posixpath.join(self.state, "partitions", f"{partition}.json")

    def partition_lock(self, partition: str) -> str:
        """Held while a partition is processed."""
        return posixpath.join(self.state, "partitions", f"{partition}.lock")

    def saved_resource(self, partition: str) -> str:
        """Copy of ``.slapos-resource`` that outlives a wipe."""
        return posixpath.join(self.state, "partitions", f"{partition}.resource")

    def release_record(self, release: str) -> str:
        """What is remembered of a release."""
        return posixpath.join(self.state, "builds", f"{release_key(release)}.json")

    def release_lock(self, release: str) -> str:
        """Held while a release is built or removed."""
        return posixpath.join(self.state, "builds", f"{release_key(release)}.lock")

    def release_log(self, release: str) -> str:
        """Output of its build."""
        return posixpath.join(self.logs, "software", f"{release_key(release)}.log")

    def partition_logs(self, partition: str) -> str:
        """Directory of the logs of a partition's services; it belongs to the node."""
        return posixpath.join(self.logs, partition)

    def run_log(self, partition: str) -> str:
        """Output of buildout in a partition."""
        return posixpath.join(self.logs, partition, "buildout.log")

    def service_log(self, partition: str, service: str) -> str:
        """Output of a service."""
        return posixpath.join(self.logs, partition, f"{service}.log")

    def key(self, partition: str) -> str:
        """Private key of the instance in a partition."""
        return posixpath.join(self.certificates, f"{partition}.key")

    def certificate(self, partition: str) -> str:
        """Certificate of the instance in a partition."""
        return posixpath.join(self.certificates, f"{partition}.crt")

    @property
    def authority(self) -> str:
        """The authority of the master, for whoever runs in a partition."""
        return posixpath.join(self.certificates, "ca.pem")
