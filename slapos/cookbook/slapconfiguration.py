"""``hyperopenx:slapconfiguration``: what the requester wants, as options of a section."""

from __future__ import annotations

import os
import re
from typing import Any, ClassVar

from slapos.build.recipe import Description, OptionsView, Recipe
from slapos.cookbook.connection import CONNECTION_OPTIONS, connection_text, flat, instance_of
from slapos.cookbook.resource import flattened, read_resource
from slapos.model.errors import InputError
from slapos.model.objects import Instance, SharedInstance
from slapos.schema.fetch import Fetcher
from slapos.schema.parameters import decode
from slapos.schema.release import ReleaseSchema, load

_OPTION = re.compile(r"[-a-zA-Z0-9 ._]+")
_MODES = frozenset({"none", "main", "shared", "all"})


class SlapConfiguration(Recipe):
    """Parameters as they are; everything is known at the first use of the section, ``install`` does nothing."""

    OPTIONS: ClassVar[dict[str, str]] = {**CONNECTION_OPTIONS, "storage-home": "", "configuration.<key>": ""}

    def setup(self) -> None:
        instance = instance_of(self)
        self._set_identity(instance)
        self._set_addresses(instance)
        self.set_parameters(instance)
        self._set_storage()
        for option, value in flattened(read_resource(self.directory)).items():
            if option not in self.view:
                self.set(option, value)

    def install(self) -> list[str]:
        return []

    def set_parameters(self, instance: Instance) -> None:
        """``configuration`` and ``slave-instance-list``; variants decode and check them."""
        self.set_configuration(dict(instance.parameters))
        self.set("slave-instance-list", [_shared_data(shared) for shared in instance.shared_instances])

    def set_configuration(self, value: Any) -> None:
        """The whole value, and one option per member whose name can be one."""
        self.set("configuration", value)
        for key, item in value.items() if isinstance(value, dict) else ():
            if _OPTION.fullmatch(key):
                self.set(f"configuration.{key}", item)

    def _set_identity(self, instance: Instance) -> None:
        facts = {
            "slap-software-type": instance.software_type,
            "slap-computer-id": connection_text(self, "computer-id", instance.node),
            "slap-computer-partition-id": connection_text(self, "partition-id", instance.partition),
            "slap-software-release-url": instance.release,
            "timestamp": str(instance.timestamp),
            "instance-title": instance.title,
            "instance-guid": instance.guid,
            "instance-state": str(instance.state),
            "root-instance-title": instance.root_title,
            "root-instance-short-title": instance.root_title,
        }
        for option, value in facts.items():
            self.set(option, value)

    def _set_addresses(self, instance: Instance) -> None:
        addresses = {address.ip for address in instance.addresses}
        for option, found in (
            ("ipv4", sorted(ip for ip in addresses if ":" not in ip)),
            ("ipv6", sorted(ip for ip in addresses if ":" in ip)),
        ):
            self.set(option, found)
            if found:
                self.set(f"{option}-random", found[0])

    def _set_storage(self) -> None:
        """``storage-dict``: disk → link below ``DATA/``; the links are made here."""
        home, result = self.text("storage-home", ""), {}
        if home and os.path.isdir(home):
            partition = os.path.basename(self.directory)
            for disk in sorted(os.listdir(home)):
                target = os.path.join(home, disk, partition)
                if os.path.isdir(target):
                    result[disk] = _linked(os.path.join(self.directory, "DATA", disk), target)
        self.set("storage-dict", result)


class Serialised(SlapConfiguration):
    """Parameters are one JSON value under ``_``."""

    def set_parameters(self, instance: Instance) -> None:
        """``configuration`` is any JSON value."""
        self.set_configuration(decode(instance.parameters, "json-in-xml"))
        self.set("slave-instance-list", [_shared_data(shared, "json-in-xml") for shared in instance.shared_instances])


class JsonSchema(SlapConfiguration):
    """Parameters judged, completed and typed by the schemas of the release."""

    OPTIONS: ClassVar[dict[str, str]] = {
        **SlapConfiguration.OPTIONS,
        "jsonschema": "mandatory",
        "validate-parameters": "all",
        "report-error": "all",
        "set-default": "none",
        "unstringify": "none",
        "unwrap-shared": "true",
    }

    @classmethod
    def describe(cls, name: str, options: OptionsView) -> Description:
        """No outputs: only the master knows the parameters."""
        options.text("jsonschema")
        for option, default in cls.OPTIONS.items():
            if default in _MODES and options.text(option, default) not in _MODES:
                raise options.error(option, f"is one of {', '.join(sorted(_MODES))}.", reference="invalid-option")
        return Description()

    def set_parameters(self, instance: Instance) -> None:
        """Invalid parameters of the instance itself fail the section; those of shared ones are listed apart."""
        schema = self._schema()
        self.set_configuration(self._main(schema, instance))
        if not self._applies("validate-parameters", "shared"):
            shared = [
                _shared_data(item, schema.serialisation(item.software_type, True)) for item in instance.shared_instances
            ]
            self.set("slave-instance-list", shared)
            return
        valid: list[dict[str, Any]] = []
        invalid: list[dict[str, Any]] = []
        for item in instance.shared_instances:
            self._judge_shared(schema, item, valid, invalid)
        self.set("valid-shared-instance-list", valid)
        self.set("invalid-shared-instance-list", invalid)

    def _schema(self) -> ReleaseSchema:
        path = self.text("jsonschema")
        release = path.removesuffix(".json")
        # A release is below its directory; of an instance's profile nothing else needs to be read.
        schema = load(release, Fetcher(roots=(os.path.dirname(os.path.abspath(path)),)))
        if not schema.types:
            raise self.error(
                "jsonschema",
                f"{path} is no descriptor of a release, or it describes no software type.",
                reference="missing-descriptor",
                hint="Install software.cfg.json beside the profile of the release.",
            )
        return schema

    def _main(self, schema: ReleaseSchema, instance: Instance) -> Any:
        kind = instance.software_type
        if self._applies("validate-parameters", "main"):
            schema.validate(kind, instance.parameters)
        return self._converted(schema, kind, dict(instance.parameters), "main")

    def _judge_shared(
        self, schema: ReleaseSchema, item: SharedInstance, valid: list[dict[str, Any]], invalid: list[dict[str, Any]]
    ) -> None:
        entry: dict[str, Any] = {"reference": item.guid}
        try:
            schema.validate(item.software_type, item.parameters, shared=True)
            entry["parameters"] = self._converted(schema, item.software_type, dict(item.parameters), "shared")
        except InputError as error:
            self.logger.warning("The shared instance %s is left out: %s", item.guid, error.message)
            parameters = _readable(item, schema)
            invalid.append({**entry, "parameters": parameters, "errors": [error.message]})
        else:
            valid.append(entry)

    def _converted(self, schema: ReleaseSchema, kind: str, parameters: dict[str, Any], which: str) -> Any:
        shared = which == "shared"
        typed = self._applies("unstringify", which)
        value = schema.typed(kind, parameters, shared) if typed else schema.decode(kind, parameters, shared)
        return schema.completed(kind, value, shared) if self._applies("set-default", which) else value

    def _applies(self, option: str, which: str) -> bool:
        return self.text(option, self.OPTIONS[option]) in (which, "all")


def _shared_data(shared: SharedInstance, serialisation: str = "xml") -> dict[str, Any]:
    """A shared instance as recipes of the field expect it: reference, title, type and parameters at one level."""
    parameters = decode(shared.parameters, "json-in-xml" if serialisation == "json-in-xml" else "xml")
    return {
        **(parameters if isinstance(parameters, dict) else {"_": flat(parameters)}),
        "slave_reference": shared.guid,
        "slave_title": shared.title,
        "slap_software_type": shared.software_type,
        "timestamp": shared.timestamp,
    }


def _readable(item: SharedInstance, schema: ReleaseSchema) -> Any:
    try:
        return schema.decode(item.software_type, item.parameters, shared=True)
    except InputError:
        return dict(item.parameters)


def _linked(link: str, target: str) -> str:
    os.makedirs(os.path.dirname(link), exist_ok=True)
    if not os.path.islink(link) or os.readlink(link) != target:
        temporary = f"{link}.new"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(target, temporary)
        os.replace(temporary, link)
    return link
