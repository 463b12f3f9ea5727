"""The systemd units of a node and of a master, as text.  Sources: ``systemd.unit(5)``, ``.service(5)``, ``.kill(5)``.

A node has two.  The supervisor and all services are processes of a unit of their own, which is neither stopped nor
signalled when the daemon is stopped, upgraded or ended by the watchdog.  In that unit only the supervisor itself is
signalled (``KillMode=process``): killed, it is started again and adopts the services that still run; stopped on
purpose, ``ExecStop`` has it end the services side by side.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from slapos.master.config import MasterConfig
from slapos.node.config import NodeConfig
from slapos.node.context import layout_of
from slapos.node.layout import supervisor_unit

_DAEMON = """\
[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
{environment}Restart=always
RestartSec=2
TimeoutStartSec={start_seconds}
TimeoutStopSec=30
WatchdogSec=60
KillMode=mixed
LimitNOFILE=65536
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
"""
_NODE = """\
[Unit]
Description=Hyper Open X node {node}
Wants=network-online.target {supervisor}
After=network-online.target {supervisor}
StartLimitIntervalSec=0

{daemon}"""
_SUPERVISOR = """\
[Unit]
Description=Services of the Hyper Open X node {node}
After=local-fs.target
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile={pid_file}
ExecStart={start}
ExecStop={stop}
Restart=on-failure
RestartSec=1
TimeoutStartSec=60
TimeoutStopSec=150
KillMode=process
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""
_MASTER = """\
[Unit]
Description=Hyper Open X master
Wants=network-online.target
After=network-online.target{database}
StartLimitIntervalSec=0

{daemon}"""
MASTER_UNIT = "hyperopenx-master.service"


@dataclass(frozen=True)
class Unit:
    """One file of systemd."""

    name: str
    text: str


def node_units(config: NodeConfig, path: str, log_format: str = "") -> tuple[Unit, Unit]:
    """The daemon and the supervisor of the node whose configuration lies at ``path``."""
    node = _described(f"{config.computer_id} ({config.name})")
    supervisor = supervisor_unit(config.name)
    daemon = _NODE.format(
        node=node,
        supervisor=supervisor,
        daemon=_daemon(_command("slapos.node.main", "--cfg", path), log_format, start_seconds=120),
    )
    services = _SUPERVISOR.format(
        node=node,
        pid_file=_escaped(f"{layout_of(config).run}/supervisor.pid"),
        start=_command("slapos.node.supervise", "start", path),
        stop=_command("slapos.node.supervise", "stop", path),
    )
    return Unit(node_unit(config.name), daemon), Unit(supervisor, services)


def node_unit(name: str) -> str:
    """What the unit of the daemon is called."""
    return f"hyperopenx-node-{name}.service"


def master_units(config: MasterConfig, log_format: str = "") -> tuple[Unit]:
    """The master of a configuration."""
    database = " postgresql.service" if config.database_url else ""
    daemon = _daemon(_command("slapos.master.main", config.path), log_format, start_seconds=300)
    text = _MASTER.format(daemon=daemon, database=database)
    return (Unit(MASTER_UNIT, text),)


def _command(module: str, *arguments: str) -> str:
    return " ".join(_quoted(word) for word in (sys.executable, "-I", "-m", module, *arguments))


def _daemon(command: str, log_format: str, start_seconds: int) -> str:
    """How one is run that tells systemd how it is."""
    environment = f"Environment=HYPEROPENX_LOG_FORMAT={log_format}\n" if log_format else ""
    return _DAEMON.format(command=command, environment=environment, start_seconds=start_seconds)


def _quoted(word: str) -> str:
    """One word of a command line: ``systemd.service(5)``, "Command lines"."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_escaped(escaped)}"'


def _escaped(text: str) -> str:
    """``%`` begins a specifier of systemd."""
    return text.replace("%", "%%")


def _described(text: str) -> str:
    return _escaped("".join(character for character in text if character.isprintable()))
