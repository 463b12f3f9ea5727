"""The typed client of a master: one method per call, objects of the model in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from slapos.model import objects
from slapos.model.states import SupplyState
from slapos.model.text import printable
from slapos.model.trouble import told
from slapos.slap.caller import Caller
from slapos.slap.config import ClientConfig, load_client_config
from slapos.slap.interface import Certificate, GivenPair, Tree
from slapos.wire import codec

__all__ = ["Certificate", "Client", "ClientConfig", "Tree", "load_client_config"]


class Client(Caller):
    """See :class:`~slapos.slap.caller.Caller` for errors, repetition and threads."""

    # instances

    def request(
        self,
        request: objects.InstanceRequest,
        requester: str | None = None,
        idempotency_key: str | None = None,
    ) -> objects.Instance:
        """Order or change; pending when the answer has no node (its ``reasons`` say why).

        ``requester`` is the guid of the instance that asks; None for a person, and for an instance's own certificate.
        """
        message = codec.request_to_data(request)
        if requester:
            message["requester"] = requester
        return codec.instance_from_data(self.call("hyperopenx.post.v0.instance", message, idempotency_key))

    def instance(self, guid: str | None = None, title: str | None = None) -> objects.Instance:
        """One instance, by guid, or by the title of a root visible to us."""
        message = {"instance_guid": guid} if guid else {"title": title or ""}
        return codec.instance_from_data(self.call("hyperopenx.get.v0.instance", message))

    def instance_of_partition(self, node: str, partition: str) -> objects.Instance:
        """The instance that lives in a partition; NotFound ``partition-free`` when none does."""
        message = {"computer_guid": node, "compute_partition_id": partition}
        return codec.instance_from_data(self.call("hyperopenx.get.v0.instance", message))

    def tree(self, guid: str | None = None, title: str | None = None) -> Tree:
        """An instance with everything below it."""
        message = {"instance_guid": guid} if guid else {"title": title or ""}
        return _tree(self.call("hyperopenx.get.v0.tree", message))

    def roots(self) -> tuple[objects.Instance, ...]:
        """The root instances visible to us."""
        answer = self.call("hyperopenx.allDocs.v0.instance_list", {})
        return tuple(codec.instance_from_data(item) for item in answer["result_list"])

    def publish(self, guid: str, connection: Mapping[str, str]) -> int:
        """Replace the connection parameters of an instance; the generation afterwards."""
        return self._generation("put.v0.connection", instance_guid=guid, connection=dict(connection))

    def requested_children(self, guid: str, titles: Iterable[str]) -> int:
        """Say which children ``guid`` still asks for; the others are marked orphan."""
        return self._generation("put.v0.requested_children", instance_guid=guid, titles=list(titles))

    def bang(self, subject: str, message: str = "") -> int:
        """Have an instance (guid) or a whole node (``COMP-<n>``) processed again."""
        member = "computer_guid" if subject.startswith("COMP-") else "instance_guid"
        return self._generation("post.v0.bang", **{member: subject}, message=printable(message))

    def rename(self, guid: str, title: str) -> objects.Instance:
        """Give an instance another title; its guid stays."""
        answer = self.call("hyperopenx.put.v0.title", {"instance_guid": guid, "title": title})
        return codec.instance_from_data(answer)

    def history(self, subject: str, since: int = 0, limit: int = 100) -> tuple[objects.Event, ...]:
        """Events of a guid, a node or ``<node> <release>``, with numbers above ``since``, oldest first."""
        message = {"subject": subject, "since": since, "limit": limit}
        answer = self.call("hyperopenx.allDocs.v0.event_list", message)
        return tuple(codec.from_data(objects.Event, item) for item in answer["result_list"])

    # nodes and supplies

    def supply(self, node: str, release: str, state: SupplyState = SupplyState.AVAILABLE) -> objects.Supply:
        """Wish that a node holds a release, or no longer."""
        message = {"computer_guid": node, "release": release, "state": SupplyState(state).value}
        return codec.from_data(objects.Supply, self.call("hyperopenx.post.v0.supply", message))

    def nodes(self) -> tuple[objects.NodeView, ...]:
        """The nodes visible to us."""
        answer = self.call("hyperopenx.allDocs.v0.node_list", {})
        return tuple(codec.from_data(objects.NodeView, item) for item in answer["result_list"])

    def node(self, reference: str) -> objects.NodeView:
        """One node with its supplies."""
        return codec.from_data(objects.NodeView, self.call("hyperopenx.get.v0.node", {"computer_guid": reference}))

    def plan(self, node: str) -> dict[str, Any]:
        """The last plan that a node reported."""
        found: dict[str, Any] = self.call("hyperopenx.get.v0.plan", {"computer_guid": node})["plan"]
        return found

    def node_state(self, node: str, since: int = 0) -> objects.NodeState:
        """What a node must bring about; only the changes when the master still knows them since ``since``."""
        answer = self.call("hyperopenx.get.v0.node_state", {"computer_guid": node, "since": since})
        return codec.node_state_from_data(answer)

    def report(
        self,
        node: str,
        instances: Iterable[objects.InstanceReport] = (),
        supplies: Iterable[objects.SupplyStatus] = (),
        plan: Mapping[str, Any] | None = None,
        online: bool = True,
    ) -> int:
        """Tell the master how things are.  Characters that cannot travel are replaced: logs hold anything."""
        message: dict[str, Any] = {
            "computer_guid": node,
            "instances": [codec.to_data(_printable_report(report)) for report in instances],
            "supplies": [codec.to_data(_printable_status(item)) for item in supplies],
            "online": online,
        }
        if plan is not None:
            message["plan"] = dict(plan)
        return int(self.call("hyperopenx.put.v0.node_report", message)["generation"])

    def format(self, node: str, node_format: objects.NodeFormat) -> int:
        """Describe the partitions of a node; the generation afterwards."""
        return self._generation("put.v0.node_format", computer_guid=node, format=codec.to_data(node_format))

    def usage(self, node: str, identifier: str, document: str) -> bool:
        """Deliver a usage document once: False when the master already had ``identifier``."""
        message = {"computer_guid": node, "identifier": identifier, "document": document}
        return bool(self.call("hyperopenx.post.v0.usage", message)["delivered"])

    # identities

    def token(self, kind: str, reference: str = "", name: str = "", *, legacy_keys: bool = False) -> str:
        """A one-time enrolment token (operators only); ``kind`` is node, user or operator.

        ``legacy_keys``: the master makes the key, for tools of the field that cannot make a signing request.
        """
        message = {"kind": kind, "reference": reference, "name": name, "legacy_keys": legacy_keys}
        answer = self.call(
            "hyperopenx.post.v0.enrolment_token", {key: value for key, value in message.items() if value}
        )
        return str(answer["token"])

    def enrol(self, token: str, csr: str) -> Certificate:
        """Redeem a token with a signing request (PEM).  The same two again give the same certificate again."""
        key = hashlib.sha256(f"{token}\n{csr}".encode()).hexdigest()[:32]
        return Certificate(**self.call("hyperopenx.post.v0.enrolment", {"token": token, "csr": csr}, key))

    def certificate(self, kind: str, csr: str, guid: str = "") -> Certificate:
        """A certificate for an instance (``kind`` instance) or for a server in its partition (service)."""
        message = {"kind": kind, "csr": csr} | ({"instance_guid": guid} if guid else {})
        return Certificate(**self.call("hyperopenx.post.v0.certificate", message))

    def given_pair(self, node: str, partition: str) -> GivenPair | None:
        """None: keys are made where they are used, and never travel."""
        return None

    def renew(self, certificate: str, csr: str, signature: str) -> Certificate:
        """Replace a certificate; the signature is that of ``slapos.pki.renewal.sign_possession``."""
        message = {"certificate": certificate, "csr": csr, "signature": signature}
        return Certificate(**self.call("hyperopenx.post.v0.certificate_renewal", message))

    def revoke(self, *, serial: str = "", certificate: str = "") -> str:
        """Revoke by serial or PEM; acts at the next request.  The serial."""
        message = {"serial": serial} if serial else {"certificate": certificate}
        return str(self.call("hyperopenx.post.v0.certificate_revocation", message)["serial"])

    def _generation(self, method: str, **message: Any) -> int:
        return int(self.call(f"hyperopenx.{method}", message)["generation"])


def _tree(data: Mapping[str, Any]) -> Tree:
    children = tuple(_tree(child) for child in data["children"])
    return Tree(codec.instance_from_data(data["instance"]), children)


def _printable_report(report: objects.InstanceReport) -> objects.InstanceReport:
    promises = tuple(replace(promise, message=printable(promise.message)) for promise in report.promises)
    return replace(report, sentence=printable(report.sentence), promises=promises, error=told(report.error))


def _printable_status(status: objects.SupplyStatus) -> objects.SupplyStatus:
    return replace(status, sentence=printable(status.sentence), error=told(status.error))
