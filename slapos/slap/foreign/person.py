"""What a person does with a master that speaks only the XML dialect; lists come through HATEOAS, where it has that."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from slapos.model import objects
from slapos.model.errors import HyperopenxError, NotFound
from slapos.model.states import InstanceState, SupplyState
from slapos.slap.field_client import FieldClient
from slapos.slap.foreign import documents
from slapos.slap.foreign.master import ForeignMaster
from slapos.slap.interface import Tree
from slapos.slap.listing import NODES, TREES, Listing


class ForeignPerson(ForeignMaster):
    """``rest_url`` is the address of its HATEOAS documents where it does not name one itself."""

    def __init__(self, *, client: FieldClient, rest_url: str = "", patience: float = 20.0) -> None:
        super().__init__(client=client, patience=patience)
        self._rest_url = rest_url
        self._listing: Listing | None = None
        self._titles: dict[str, str] = {}

    def request(
        self, request: objects.InstanceRequest, requester: str | None = None, idempotency_key: str | None = None
    ) -> objects.Instance:
        """Order or change.  What does not exist is not destroyed: a slapproxy would first make it (spec/01 §3.3)."""
        if request.state is InstanceState.DESTROYED:
            self.instance(title=request.title)
        made = super().request(request)
        self._titles[made.guid] = request.title
        return made

    def instance(self, guid: str | None = None, title: str | None = None) -> objects.Instance:
        """A root, by its title."""
        return self.tree(guid, title).instance

    def tree(self, guid: str | None = None, title: str | None = None) -> Tree:
        """A root.  What it requested is not told to persons."""
        name = title or self._titles.get(guid or "", "")
        if not name:
            raise NotFound(
                f"The master finds instances by their title only, not {guid!r}.",
                reference="no-such-instance",
                context={"guid": guid, "address": self.client.base},
                hint="See: slapos service list",
            )
        return Tree(documents.root(self._patient(lambda: self.listing.tree(name)), name))

    def roots(self) -> tuple[objects.Instance, ...]:
        """All roots; one call more for each, because a list has only their titles."""
        rows = self._patient(lambda: self.listing.search(TREES, ("title", "url_string")))
        return tuple(self.instance(title=str(row["title"])) for row in rows if row.get("title"))

    def supply(self, node: str, release: str, state: SupplyState = SupplyState.AVAILABLE) -> objects.Supply:
        """Wish that a node holds a release, or no longer."""
        self._post("supplySupply", {"url": release, "computer_id": node, "state": str(state)})
        return objects.Supply(release, node, SupplyState(state))

    def nodes(self) -> tuple[objects.NodeView, ...]:
        """The nodes that the listing has."""
        rows = self._patient(lambda: self.listing.search(NODES, ("title", "reference")))
        return tuple(self._view(str(row["reference"]), row) for row in rows if row.get("reference"))

    def node(self, reference: str) -> objects.NodeView:
        """One of them."""
        return self._view(reference, self._patient(lambda: self.listing.node(reference)))

    def history(self, subject: str, since: int = 0, limit: int = 100) -> tuple[objects.Event, ...]:
        """Nothing: the protocol has none."""
        return ()

    @property
    def listing(self) -> Listing:
        """Where the lists are; :class:`NotFound` ``no-hateoas`` when the master has none."""
        if self._listing is None:
            self._listing = Listing(client=self.client, url=self._rest_url or self._named_listing())
        return self._listing

    def _named_listing(self) -> str:
        with contextlib.suppress(NotFound):
            return self.client.text("getHateoasUrl").strip()
        usual = f"{self.client.base}hateoas/"  # a slapproxy has it there and does not say so (trap 12)
        try:
            self.client.json(usual)
        except NotFound as error:
            raise NotFound(
                f"The master {self.client.base} has no lists: it names no HATEOAS address.",
                reference="no-hateoas",
                context={"address": self.client.base},
                hint="If you know the address, write it as master_rest_url into [slapos].",
            ) from error
        return usual

    def _view(self, reference: str, fields: Mapping[str, Any]) -> objects.NodeView:
        """What the list says, with what the node itself is told where we may read that."""
        view = objects.NodeView(
            reference=reference,
            name=str(fields.get("title") or reference),
            project=objects.DEFAULT_PROJECT,
            seen=0,
            online=True,  # with ``seen`` 0: nobody knows
            partitions=0,
            busy=0,
        )
        with contextlib.suppress(HyperopenxError):
            state = documents.node_state(self._full(reference), reference)
            busy = sum(instance is not None for instance in state.partitions.values())
            return dataclasses.replace(view, partitions=len(state.partitions), busy=busy, supplies=state.supplies)
        return view
