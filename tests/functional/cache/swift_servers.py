"""Runs with the machine's own Python, never imported by us: OpenStack Swift's four servers in this process.

``swift_servers.py DIRECTORY ADDRESS``: rings, configuration and data lie below the directory; the URL is printed when
requests are taken.  The key of ``test:tester`` is the variable ``SWIFT_KEY``.
"""

import os
import sys

import eventlet

eventlet.patcher.monkey_patch(all=False, socket=True, select=True, thread=True)

import eventlet.wsgi  # noqa: E402  (after the patch)
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.storage_policy import reload_storage_policies  # noqa: E402
from swift.common.utils import set_swift_dir  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

KINDS = ("account", "container", "object")
PIPELINE = "catch_errors cache s3api tempauth proxy-server"
FILTERS = {
    "catch_errors": "",
    "cache": "memcache_servers = 127.0.0.1:1",  # nobody: it is not needed
    "s3api": "s3_acl = false\nlocation = us-east-1\ncheck_bucket_owner = false",
    "tempauth": "user_test_tester = {key} .admin",
}


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)


def make_ring(directory, kind, address, port):
    builder = RingBuilder(4, 1, 1)
    builder.add_dev({"region": 1, "zone": 1, "weight": 1, "ip": address, "port": port, "device": "disk", "meta": "",
                     "replication_ip": address, "replication_port": port, "id": 0})  # fmt: skip
    builder.rebalance()
    builder.get_ring().save(os.path.join(directory, kind + ".ring.gz"))


def common(directory):
    return f"""[DEFAULT]
swift_dir = {directory}
devices = {directory}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_name = swift
"""


def backend(directory, kind):
    path = os.path.join(directory, kind + ".conf")
    write(
        path,
        common(directory) + f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n",
    )
    return path


def proxy(directory):
    path = os.path.join(directory, "proxy.conf")
    text = common(directory) + f"[pipeline:main]\npipeline = {PIPELINE}\n"
    text += "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
    for name, options in FILTERS.items():
        egg = "memcache" if name == "cache" else name
        text += f"[filter:{name}]\nuse = egg:swift#{egg}\n" + options.format(key=os.environ["SWIFT_KEY"]) + "\n"
    write(path, text)
    return path


def main(directory, address):
    os.makedirs(os.path.join(directory, "devices", "disk"))
    write(
        os.path.join(directory, "swift.conf"),
        "[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = gold\ndefault = yes\n",
    )
    listeners = {kind: eventlet.listen((address, 0)) for kind in (*KINDS, "proxy")}
    for kind in KINDS:
        make_ring(directory, kind, address, listeners[kind].getsockname()[1])
    set_swift_dir(directory)
    reload_storage_policies()
    paths = {kind: backend(directory, kind) for kind in KINDS} | {"proxy": proxy(directory)}
    pool, silence = eventlet.GreenPool(), open(os.devnull, "w")  # noqa: SIM115  (as long as the process)
    for kind, path in paths.items():
        application = loadapp(path, global_conf={"log_name": kind})
        pool.spawn_n(eventlet.wsgi.server, listeners[kind], application, silence)
    sys.stdout.write(f"http://{address}:{listeners['proxy'].getsockname()[1]}\n")
    sys.stdout.flush()
    pool.waitall()


if __name__ == "__main__":
    main(*sys.argv[1:])
