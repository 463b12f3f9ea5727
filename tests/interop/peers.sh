#!/bin/sh
# The root of the peers: a Debian trixie (Python 3.13) with the real SlapOS of requirements.txt in /opt/peers.
# Tests run its programs through slapos.testing.peers; nothing of it is ever imported by us.
# POSIX sh; the mirror and pip's settings are those of this machine.
set -eu
umask 022

usage() {
	cat <<'END'
Usage: tests/interop/peers.sh COMMAND

  make   make the root unless it is there (as root, some minutes), and print its directory
  path   print the directory, whether it is there or not

The directory is /opt/hyperopenx/peers-<digest of what it is made from>, or HYPEROPENX_PEERS.
END
}

die() {
	printf 'peers: %s\n' "$1" >&2
	exit 71
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
prefix=${HYPEROPENX_PREFIX:-/opt/hyperopenx}
[ "$(id -u)" = 0 ] || prefix=/opt/hyperopenx # who is not root uses what root made
digest=$(cat "$here/peers.sh" "$here/requirements.txt" | sha256sum | cut -c 1-16)
root=${HYPEROPENX_PEERS:-$prefix/peers-$digest}

suite=trixie
packages=python3,python3-venv,python3-dev,gcc,libc6-dev
user=peer
uid=70111 # of nobody else on the machine
venv=/opt/peers

# --- the machine's own settings -----------------------------------------------------------------------------------

mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1; }

# Files that pip reads here, and those that they and its variables name: a bundle of certificates, directories of wheels.
pip_files() {
	set -- /etc/pip.conf /etc/xdg/pip "${HOME:-/root}/.config/pip" "${HOME:-/root}/.pip"
	printf '%s\n' "$@" /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt
	{
		find "$@" -type f -exec cat {} + 2>/dev/null || true
		env | grep '^PIP_' || true
	} | tr ' =' '\n\n' | sed -e 's#^file://##' -e 's#/simple/*$##' | grep '^/' || true # an index's files lie beside it
}

# --- the steps ----------------------------------------------------------------------------------------------------

install_debootstrap() {
	command -v debootstrap >/dev/null && return 0
	apt-get update -q -o DPkg::Lock::Timeout=300 &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 \
			debootstrap debian-archive-keyring
}

# Mounts of debootstrap and ours live in namespaces of their own: whoever is killed leaves none behind.
debian() {
	from=$(mirror)
	[ -n "$from" ] || die "apt of this machine names no mirror"
	eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
	[ -z "${http_proxy:-}" ] || export http_proxy
	unshare --mount debootstrap --variant=minbase --include="$packages" "$suite" "$1" "$from"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$1/etc/hosts"
	printf '%s:x:%s:%s::/nonexistent:/bin/sh\n' "$user" "$uid" "$uid" >>"$1/etc/passwd"
	printf '%s:x:%s:\n' "$user" "$uid" >>"$1/etc/group"
	rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
}

# inside ROOT COMMAND...: with pip's settings of the machine.
inside() {
	pip_files | unshare --mount sh -c '
		set -eu
		root=$1
		shift
		for name in dev proc; do mount --rbind "/$name" "$root/$name"; done
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		while read -r path; do
			if [ -d "$path" ]; then
				mkdir -p "$root$path"
			elif [ -f "$path" ]; then
				mkdir -p "$root${path%/*}"
				[ -e "$root$path" ] || : >"$root$path"
			else
				continue
			fi
			mount --bind "$path" "$root$path"
		done
		unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_USER VIRTUAL_ENV
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 PIP_NO_CACHE_DIR=1
		exec chroot "$root" "$@" </dev/null
	' inside "$@"
}

environment() {
	inside "$1" /usr/bin/python3 -m venv "$venv"
	cp "$here/requirements.txt" "$1$venv/requirements.txt"
	# What builds the others comes first: nothing that is not pinned takes part.
	pip "$1" install --no-input --no-deps "$(pinned setuptools)" "$(pinned wheel)"
	pip "$1" install --no-input --no-deps --no-build-isolation -r "$venv/requirements.txt"
	pip "$1" check
	inside "$1" "$venv/bin/slapos" --version
}

pip() {
	where=$1
	shift
	inside "$where" "$venv/bin/pip" --disable-pip-version-check "$@"
}

pinned() { grep "^$1==" "$here/requirements.txt"; }

make_root() {
	[ "$(id -u)" = 0 ] || die "only root can make the root of the peers; as root run: make peers"
	mkdir -p "$(dirname "$root")"
	exec 9>"$root.lock"
	flock 9
	if [ ! -d "$root" ]; then
		log=$root.log
		printf 'Making the root of the peers (the real SlapOS) in %s … ' "$root" >&2
		begin=$(date +%s)
		# A subshell of its own: set -e acts in it, as it would not in a condition.
		set +e
		(
			set -e
			rm -rf "$root.new"
			install_debootstrap
			debian "$root.new"
			environment "$root.new"
			mv "$root.new" "$root"
		) >"$log" 2>&1 </dev/null
		code=$?
		set -e
		if [ "$code" != 0 ]; then
			printf 'failed\n' >&2
			tail -n 15 "$log" | sed 's/^/    /' >&2
			die "the root of the peers was not made (code $code); the whole output is in $log. Run it again to begin anew."
		fi
		printf '%s s\n' "$(($(date +%s) - begin))" >&2
	fi
	touch "$root"
	# Those of earlier states of this file, once nobody has wanted them for a week.
	find "$prefix" -maxdepth 1 -name 'peers-*' -mtime +7 -exec rm -rf {} +
}

case ${1:-help} in
make)
	make_root
	printf '%s\n' "$root"
	;;
path) printf '%s\n' "$root" ;;
help | -h | --help) usage ;;
*)
	usage >&2
	die "there is no command '$1'"
	;;
esac
