#!/bin/sh
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
#
# Containers as hosts of a test rack: Debian with systemd as init and an SSH server.
#
#   rack.sh image SUITE              make the image (bullseye, bookworm, trixie) unless it is there; prints its name
#   rack.sh up NAME SUITE KEY.pub    start a fresh container, wait until it has booted;
#                                    prints its SSH port on 127.0.0.1 and its host key
#   rack.sh disguise NAME            take away the marks by which a container is known as one
#   rack.sh down NAME                remove the container
#
# CRASHREADY_CONTAINER_ENGINE  podman (the default where it is installed) or docker
# CRASHREADY_IMAGE_BASE        a base image with SUITE in it as a word, such as docker.io/library/debian:SUITE:
#                              the image is then built from it; without it mmdebstrap makes it, from the mirror that
#                              this machine's apt uses (or DEBIAN_MIRROR, DEBIAN_SECURITY_MIRROR)
# CRASHREADY_CACHE             where image archives are kept (~/.cache/crashready)
#
# Never --privileged: a role under test must not be able to touch the machine that the tests run on.
# shellcheck disable=SC2016  # what stands in single quotes is for apt-get or for the hooks' own shell
# shellcheck disable=SC3045  # ulimit -H: dash and bash, the two shells that are sh on Debian, have it
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
cache=${CRASHREADY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/crashready}
name=localhost/crashready-rack

say() { printf 'rack.sh: %s\n' "$1" >&2; }
die() { say "$1"; exit 1; }

if [ -n "${CRASHREADY_CONTAINER_ENGINE-}" ]; then
    engine=$CRASHREADY_CONTAINER_ENGINE
elif command -v podman >/dev/null 2>&1; then
    engine=podman
else
    engine=docker
fi
command -v "$engine" >/dev/null 2>&1 ||
    die "neither podman nor docker is installed: apt-get install podman, or ./crashready test, which does it"

# What a real host has and a role may count on, plus what lets update-grub work (guest-setup.sh). Not kdump-tools.
packages=ca-certificates,dbus,grub-pc-bin,grub2-common,iproute2,kmod,openssh-server,procps,python3-apt,python3-minimal,sudo,systemd-sysv,udev

# Lists and packages of a mirror move on, so an image lives for a week at most.
key() {
    { cat "$here/rack.sh" "$here/guest-setup.sh"; date -u +%G-%V; printf '%s' "${CRASHREADY_IMAGE_BASE-}"; } |
        sha256sum | cut -c 1-12
}

main_mirror() {
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/\?$' | sort -u | head -n 1
}

# Options of the machine's own apt without which its mirror could not be used. None is on an ordinary machine.
apt_options() {
    apt-config dump 2>/dev/null | grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy|Retries) "' || true
}

# Lines of sources.list. Debian 11 is past its end: its backports have left the mirrors, its lists are not renewed.
sources() { # SUITE
    components='main non-free-firmware'
    suites="$1 $1-updates $1-backports"
    option=
    if [ "$1" = bullseye ]; then
        components=main
        suites="$1 $1-updates"
        option='[check-valid-until=no] '
    fi
    for suite in $suites; do
        printf 'deb %s%s %s %s\n' "$option" "$mirror" "$suite" "$components"
    done
    printf 'deb %s%s %s %s\n' "$option" "$security" "$1-security" "$components"
}

bootstrap() { # SUITE ARCHIVE
    command -v mmdebstrap >/dev/null 2>&1 || die "mmdebstrap is not installed: apt-get install mmdebstrap, or set CRASHREADY_IMAGE_BASE"
    mirror=${DEBIAN_MIRROR:-$(main_mirror)}
    [ -n "$mirror" ] || die "this machine's apt has no Debian mirror: set DEBIAN_MIRROR, or CRASHREADY_IMAGE_BASE"
    mirror=${mirror%/}
    security=${DEBIAN_SECURITY_MIRROR:-${mirror}-security}
    options=$(mktemp)
    apt_options >"$options"
    sources "$1" >"$options.list" # the name tells mmdebstrap the format
    failed=
    # The lists stay (cleanup/apt/lists): with empty lists in a fresh directory, cache_valid_time of Ansible's apt
    # takes them for new. 99mmdebstrap goes: its "no Recommends" would make kdump-tools come without makedumpfile.
    mmdebstrap --quiet --variant=minbase \
        --aptopt="$options" \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include="$packages" --skip=cleanup/apt/lists \
        --customize-hook='rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap' \
        --customize-hook="if [ -s $options ]; then cp $options \"\$1\"/etc/apt/apt.conf.d/90mirror; chmod 644 \"\$1\"/etc/apt/apt.conf.d/90mirror; fi" \
        --customize-hook="copy-in $here/guest-setup.sh /tmp" \
        --customize-hook='chroot "$1" sh /tmp/guest-setup.sh; rm "$1"/tmp/guest-setup.sh' \
        "$1" "$2" "$options.list" >&2 || failed=yes
    rm -f "$options" "$options.list"
    [ -z "$failed" ]
}

image() { # SUITE
    tag=$name:$1-$(key)
    if ! "$engine" image inspect "$tag" >/dev/null 2>&1; then
        if [ -n "${CRASHREADY_IMAGE_BASE-}" ]; then
            base=$(printf '%s' "$CRASHREADY_IMAGE_BASE" | sed "s/SUITE/$1/g")
            say "building $tag from $base"
            "$engine" build --quiet --tag "$tag" --build-arg "BASE=$base" \
                --build-arg "PACKAGES=$(printf '%s' "$packages" | tr , ' ')" --file "$here/Containerfile" "$here" >&2
        else
            archive=$cache/images/$1-$(key).tar
            mkdir -p "$cache/images"
            if [ ! -s "$archive" ]; then
                say "making a $1 image with mmdebstrap (about a minute)"
                rm -f "$cache/images/$1"-*.tar
                partial=$cache/images/partial.$$.$1.tar
                bootstrap "$1" "$partial" || { rm -f "$partial"; die "mmdebstrap of $1 failed, see above"; }
                mv "$partial" "$archive"
            fi
            "$engine" import --change 'CMD ["/sbin/init"]' --change 'STOPSIGNAL SIGRTMIN+3' \
                --change 'ENV container=podman' "$archive" "$tag" >/dev/null
        fi
    fi
    printf '%s\n' "$tag"
}

# Some machines (a CI inside a small VM) refuse podman's defaults: no CAP_SYS_RESOURCE to raise limits with, or a
# cgroup layout that crun does not take while runc does. Found out by trying, never assumed.
lower_limits() { # FILE
    nofile=$(ulimit -Hn)
    [ "$nofile" != unlimited ] && [ "$nofile" -lt 20000 ] || nofile=20000
    {
        printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=10000:10000"]\n' "$nofile" "$nofile"
        ! command -v runc >/dev/null 2>&1 || printf '[engine]\nruntime = "runc"\n'
    } >"$1"
}

start() { # NAME TAG
    if [ "$engine" = docker ]; then
        set -- "$1" "$2" --tmpfs /run --tmpfs /run/lock --cgroupns=host --volume=/sys/fs/cgroup:/sys/fs/cgroup:rw
    else
        set -- "$1" "$2" --systemd=always
    fi
    host=$1 tag=$2
    shift 2
    "$engine" run --detach --name="$host" --hostname="$host" --publish=127.0.0.1::22 "$@" "$tag" /sbin/init
}

wait_for_boot() { # NAME
    tries=0
    while :; do
        state=$("$engine" exec "$1" systemctl is-system-running 2>/dev/null) || true
        case $state in running | degraded) return 0 ;; esac
        tries=$((tries + 1))
        if [ "$tries" -gt 240 ]; then
            "$engine" logs "$1" >&2 || true
            die "$1 did not boot within two minutes (systemd says: ${state:-nothing}); its log is above"
        fi
        sleep 0.5
    done
}

up() { # NAME SUITE KEY.pub
    tag=$(image "$2")
    down "$1"
    said=$(mktemp)
    if ! start "$1" "$tag" >"$said" 2>&1; then
        [ "$engine" = podman ] || { cat "$said" >&2; die "docker does not start $1, see above"; }
        down "$1"
        conf=$(mktemp)
        lower_limits "$conf"
        CONTAINERS_CONF=$conf
        export CONTAINERS_CONF
        start "$1" "$tag" >>"$said" 2>&1 || { cat "$said" >&2; die "podman does not start $1, with its defaults nor with lower limits and runc; see above"; }
        rm -f "$conf"
        unset CONTAINERS_CONF
    fi
    rm -f "$said"
    wait_for_boot "$1"
    "$engine" exec --interactive "$1" sh -c 'umask 077; mkdir -p /root/.ssh; cat >/root/.ssh/authorized_keys' <"$3"
    # All containers of an image would share the baked host keys.
    "$engine" exec "$1" sh -c 'rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl reset-failed ssh; systemctl restart ssh' >&2
    "$engine" port "$1" 22/tcp | head -n 1 | sed 's/.*://'
    "$engine" exec "$1" cat /etc/ssh/ssh_host_ed25519_key.pub
}

disguise() { # NAME
    # podman mounts its mark, and an ordinary root of a container may not unmount.
    [ "$engine" = docker ] || podman exec --privileged "$1" umount /run/.containerenv
    "$engine" exec "$1" rm -f /run/.containerenv /.dockerenv /run/systemd/container /run/host/container-manager
}

down() { # NAME
    if [ "$engine" = podman ]; then
        podman rm --force --ignore --time=0 "$1" >/dev/null
    else
        docker rm --force "$1" >/dev/null 2>&1 || true
    fi
}

command=${1-}
[ $# -eq 0 ] || shift
case $command:$# in
image:1) image "$1" ;;
up:3) up "$1" "$2" "$3" ;;
disguise:1) disguise "$1" ;;
down:1) down "$1" ;;
*) die "usage: rack.sh image SUITE | up NAME SUITE KEY.pub | disguise NAME | down NAME" ;;
esac
