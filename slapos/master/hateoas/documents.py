"""Documents of the HATEOAS dialect (spec/03) from objects of the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slapos.master.hateoas import queries
from slapos.model.objects import Instance, NodeView, Supply
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind
from slapos.wire import parameter_document
from slapos.wire.field_codec import access_status, node_status, supply_status

VIEW = "slaposjs_view"
FORM = "view"
TREES, NODES, INSTANCES = "instance_tree_module", "compute_node_module", "software_instance_module"
SUPPLIES, PERSONS = "software_installation_module", "person_module"
URN = "urn:jio:get:"
SEARCH = "?mode=search&query={query}&select_list={select_list}"
TRAVERSE = "?mode=traverse&relative_url={relative_url}&view={view}"

Row = dict[str, Any]
_MODULE_OF = {PrincipalKind.NODE: NODES, PrincipalKind.INSTANCE: INSTANCES}


@dataclass(frozen=True)
class Document:
    """One object: its type and its fields, texts or what JSON has."""

    kind: str
    fields: Mapping[str, Any]


def root(base: str, principal: Principal) -> dict[str, Any]:
    """The first document; ``base`` is the address of the dialect, with a slash at its end."""
    me = f"{_MODULE_OF.get(principal.kind, PERSONS)}/{principal.reference}"
    return {
        "_links": {
            "self": {"href": base.rstrip("/")},
            "raw_search": {
                "href": f"{base}?mode=search&query={{query}}&select_list={{select_list}}",
                "templated": True,
            },
            "traverse": {
                "href": f"{base}?mode=traverse&relative_url={{relative_url}}&view={{view}}",
                "templated": True,
            },
            "me": {"href": URN + me},
        }
    }


def found(rows: Iterable[Row], columns: Sequence[str]) -> dict[str, Any]:
    """The answer of a search: the columns asked for, as far as such an object has them."""
    contents = [{name: row[name] for name in columns if name in row} for row in rows]
    return {"_embedded": {"contents": contents}}


def document(known: Document, base: str, relative_url: str) -> dict[str, Any]:
    """The answer of a traversal: each field as a client of a form reads it."""
    view: dict[str, Any] = {"form_id": {"key": "form_id", "default": FORM, "type": "StringField"}}
    for name, value in known.fields.items():
        kind = "IntegerField" if isinstance(value, int) else "StringField"
        view[f"my_{name}"] = {"type": kind, "key": f"field_my_{name}", "default": value}
    module = relative_url.partition("/")[0]
    return {
        "_links": {
            "self": {"href": f"{base}?mode=traverse&relative_url={relative_url}&view={VIEW}"},
            "type": {"name": known.kind},
            "parent": {"href": f"{URN}{module}"},
        },
        "_embedded": {"_view": view},
    }


def tree_row(instance: Instance) -> Row:
    """A root as a tree."""
    return {**_common(instance), "portal_type": queries.TREE, "relative_url": f"{TREES}/{instance.guid}"}


def instance_row(instance: Instance) -> Row:
    """An instance of a tree."""
    kind = queries.SHARED if instance.shared else queries.INSTANCE
    return {
        **_common(instance),
        "portal_type": kind,
        "relative_url": f"{INSTANCES}/{instance.guid}",
        "getConnectionXmlAsDict": dict(instance.connection),
        "SoftwareInstance_getNewsDict": news(access_status(instance), instance.guid),
    }


def node_row(node: NodeView) -> Row:
    """A node."""
    return {
        "uid": _uid(node.reference),
        "title": node.name or node.reference,
        "reference": node.reference,
        "portal_type": queries.NODE,
        "validation_state": "validated",
        "relative_url": f"{NODES}/{node.reference}",
    }


def supply_row(supply: Supply) -> Row:
    """A release on a node; its address is made of both."""
    name = supply_name(supply)
    return {
        "uid": _uid(name),
        "title": supply.release,
        "reference": name,
        "portal_type": queries.SUPPLY,
        "validation_state": "validated",
        "url_string": supply.release,
        "relative_url": f"{SUPPLIES}/{name}",
        "SoftwareInstallation_getNewsDict": news(supply_status(supply), name),
    }


def supply_name(supply: Supply) -> str:
    """``COMP-<n>-<digest of the release>``: a name for what has none."""
    return f"{supply.node}-{hashlib.sha256(supply.release.encode()).hexdigest()[:16]}"


def tree_document(instance: Instance, members: Iterable[Instance]) -> Document:
    """A tree; its news are those of all its instances that said something."""
    texts = [(member, access_status(member)) for member in members]
    return _instance_document(queries.TREE, instance, [news(text, member.guid) for member, text in texts if text])


def instance_document(instance: Instance) -> Document:
    """An instance of a tree, with its own news."""
    text = access_status(instance)
    kind = queries.SHARED if instance.shared else queries.INSTANCE
    return _instance_document(kind, instance, [news(text, instance.guid)] if text else [])


def node_document(node: NodeView, living: Iterable[Instance], now: float) -> Document:
    """A node, and what is said of its partitions."""
    partitions = {each.partition: news(access_status(each), each.guid) for each in living}
    fields = {
        "title": node.name or node.reference,
        "reference": node.reference,
        "news": {"computer": news(node_status(node, now), node.reference), "partition": partitions},
    }
    return Document(queries.NODE, fields)


def supply_document(supply: Supply) -> Document:
    """A release on a node."""
    fields = {
        "title": supply.release,
        "url_string": supply.release,
        "slap_state": supply.state.value,
        "aggregate_reference": supply.node,
        "news": {"installation": news(supply_status(supply), supply_name(supply))},
    }
    return Document(queries.SUPPLY, fields)


def person_document(principal: Principal) -> Document:
    """The one who asks."""
    return Document(queries.PERSON, {"title": principal.reference, "reference": principal.reference})


def news(text: str, reference: str) -> dict[str, Any]:
    """What was last said of something; that nothing was, is an error in the field's words."""
    if text:
        return {"text": text, "reference": reference}
    return {"text": f"#error no data found for {reference}", "reference": reference, "no_data": 1}


def _instance_document(kind: str, instance: Instance, told: list[dict[str, Any]]) -> Document:
    connection = [
        {"connection_key": key, "connection_value": value} for key, value in sorted(instance.connection.items())
    ]
    fields = {
        "title": instance.title,
        "reference": instance.guid,
        "slap_state": instance.state.value,
        "url_string": instance.release,
        "source_reference": instance.software_type,
        "root_slave": int(instance.shared),
        "text_content": parameter_document.dumps(instance.parameters),
        "connection_parameter_list": connection,
        "news": {"instance": told},
    }
    return Document(kind, fields)


def _common(instance: Instance) -> Row:
    return {
        "uid": _uid(instance.guid),
        "title": instance.title,
        "reference": instance.guid,
        "validation_state": "validated",
        "url_string": instance.release,
        "slap_state": instance.state.value,
        "text_content": parameter_document.dumps(instance.parameters),
    }


def _uid(name: str) -> int:
    """A number that stays the same for the same name."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:12], 16)
