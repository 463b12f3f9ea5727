"""Effects on services: what runs is changed only when its own check accepts the new configuration."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from slapos.model.errors import Conflict, InputError
from slapos.node.context import Node
from slapos.node.goals.observed import Declared, Refusal
from slapos.node.goals.services import token
from slapos.node.partition.scripts import run_as_partition
from slapos.node.partition.services import Place, declared_services, service_spec
from slapos.node.plan import Action
from slapos.node.records import change_record, load_record

CHECK_SECONDS = 60.0


@dataclass(frozen=True)
class ServiceSwitch:
    """Effects for the services of one partition; each reads the declaration anew, so that no stale one is used."""

    node: Node
    place: Place

    def _declared(self, name: str) -> Declared:
        services = declared_services(self.place.directory, self.place.user.uid)
        for declared in services.declared:
            if declared.name == name:
                return declared
        raise Conflict(
            f"The service {name} of {self.place.partition} is no longer declared.",
            reference="service-changed",
            context={"partition": self.place.partition, "service": name},
            hint="It is looked at again at once.",
        )

    def add(self, action: Action) -> None:
        """The supervisor keeps it from now on."""
        self.node.supervisor.add(service_spec(self.place, self._declared(action.subject)))
        self._changed()

    def start(self, action: Action) -> None:
        """It ended or was stopped."""
        self.node.supervisor.start(f"{self.place.partition}:{action.subject}")
        self._changed()

    def restart(self, action: Action) -> None:
        """Another process, unless its check refuses what it would run."""
        declared = self._declared(action.subject)
        if self._accepted(declared):
            self.node.supervisor.add(service_spec(self.place, declared))
            self._changed()

    def reload(self, action: Action) -> None:
        """The same process reads its configuration again, unless its check refuses it."""
        declared = self._declared(action.subject)
        if self._accepted(declared):
            key = f"{self.place.partition}:{declared.name}"
            self.node.supervisor.reload(key, signal_number(declared.reload_signal), declared.reload)
            self._changed()

    def remove(self, action: Action) -> None:
        """Stopped with all that it started, and forgotten."""
        self.node.supervisor.remove(f"{self.place.partition}:{action.subject}")

    def _accepted(self, declared: Declared) -> bool:
        record = load_record(self.node.layout, self.place.partition)
        refusals = {name: item for name, item in record.refusals.items() if name != declared.name}
        message = self._refusal(declared)
        if message:
            refusals[declared.name] = Refusal(token(declared), message)
        if refusals != dict(record.refusals):
            change_record(self.node.layout, self.place.partition, refusals=refusals)
        return not message

    def _refusal(self, declared: Declared) -> str:
        """What the check command says against the new configuration; empty when it accepts it."""
        if not declared.check_command:
            return ""
        done = run_as_partition(self.place, declared.check_command, timeout=CHECK_SECONDS)
        if done.code == 0:
            return ""
        said = done.text.strip()[-1000:]
        return said or ("it took too long to check it" if done.timed_out else f"exit status {done.code}")

    def _changed(self) -> None:
        change_record(self.node.layout, self.place.partition, changed_at=self.node.clock.wall())


def signal_number(name: str) -> int:
    """``HUP`` or ``SIGHUP`` → 1."""
    try:
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except KeyError:
        raise InputError(
            f"reload_signal: there is no signal {name!r}.",
            reference="invalid-service",
            context={"field": "reload_signal", "value": name},
            hint="Name a signal such as HUP or USR1.",
        ) from None
