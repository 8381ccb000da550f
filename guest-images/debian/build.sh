#!/bin/bash
# The recipe of a Debian root file system: a disk image with systemd, PostgreSQL, Redis, fio and iperf3, from Debian's own
# packages.
#
#   build.sh [--update]      prints the image's path
#
# What it leaves in <repo>/.cache/debian/ (GODWIT_DEBIAN_CACHE=DIR changes the folder):
#   root.img       an ext4 file system, sparse; it boots with the kernel and the initramfs of ../linux (godwit.root=vda)
#   packages       its packages and their versions
#   log            what was done for it
# What is there already is used as it is and needs no network; --update, or another recipe, makes it anew from what Debian
# has today. That takes a few minutes and about 150 MB of downloads. Needs root, as a chroot does.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GODWIT_DEBIAN_CACHE:-$here/../../.cache/debian}
# Size of the file system. What it does not hold takes no space.
size=1G
# One identity and one time for every image that is made: less that differs between two of them.
uuid=6f0d3b0a-5d0c-4b57-9d5d-676f64776974
epoch=1700000000
packages="systemd-sysv udev iproute2 iputils-ping procps socat fio iperf3 redis-server redis-tools postgresql"
# Nobody reads these in a guest, and the JIT compiler is a third of the whole.
unwanted="/usr/share/doc/* /usr/share/man/man?/* /usr/share/info/* /usr/share/locale/*
    /usr/lib/x86_64-linux-gnu/libLLVM* /usr/lib/postgresql/*/lib/llvmjit* /usr/lib/postgresql/*/lib/bitcode/*"

die() {
    echo "build.sh: $*" >&2
    exit 1
}

say() {
    echo "build.sh: $*" >&2
}

# need COMMAND PACKAGE: dies with the way out where COMMAND is missing.
need() {
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null || die "'$1' is missing, and so is apt-get. This recipe installs Debian's own" \
        "packages into an image: run it on Debian or in a Debian container."
    die "'$1' is missing: apt-get install $2"
}

# sources: the lines of this machine's own sources of Debian packages, by apt itself.
sources() {
    # apt expands these, not the shell.
    # shellcheck disable=SC2016
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 'Architecture: amd64' | sort -u
}

# codename: the release of Debian that these sources have.
codename() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(CODENAME)' 'Created-By: Packages' 'Origin: Debian' | grep -v -- - | head -n 1
}

# root_folder DIR LOG: installs the packages into DIR, and sets them up.
root_folder() {
    local release options=() pattern
    release=$(codename)
    [ -n "$release" ] || die "apt knows no Debian packages. Run 'apt-get update' as root; apt-get indextargets must" \
        "show some of Origin: Debian."
    while read -r pattern; do options+=("--dpkgopt=path-exclude=$pattern"); done < <(xargs -n 1 <<<"$unwanted")
    # The cluster is made when its package is installed, by settings that are there before.
    sources | SOURCE_DATE_EPOCH=$epoch mmdebstrap --mode=root --variant=minbase --format=directory \
        --include="${packages// /,}" --aptopt='Acquire::Retries "3"' "${options[@]}" \
        --essential-hook="mkdir -p \"\$1/etc/postgresql-common\"" \
        --essential-hook="copy-in '$here/createcluster.conf' /etc/postgresql-common" \
        --customize-hook="install -m 755 '$here/setup' \"\$1/setup\" && chroot \"\$1\" /setup && rm \"\$1/setup\"" \
        "$release" "$1" - >"$2" 2>&1 || die "the packages cannot be installed; the end of $2: $(tail -n 15 "$2")"
}

make_image() {
    local work
    work=$(mktemp -d "$cache/.build.XXXXXX")
    # Expanded now: the name is local.
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    say "installing Debian packages into an image; this takes a few minutes"
    root_folder "$work/root" "$cache/log"
    # What is new each time, and of no use.
    rm -rf "$work/root"/var/cache/apt/* "$work/root"/var/lib/apt/lists/* "$work/root"/var/log/*.log
    chroot "$work/root" dpkg-query -W >"$work/packages"
    say "packing $(du -sh --apparent-size "$work/root" | cut -f 1) into an image of $size"
    E2FSPROGS_FAKE_TIME=$epoch mke2fs -q -t ext4 -U "$uuid" -E "hash_seed=$uuid,lazy_itable_init=1,lazy_journal_init=1" \
        -m 0 -L godwit -d "$work/root" "$work/root.img" "$size" >>"$cache/log" 2>&1 ||
        die "no file system can be made of them: $(tail -n 5 "$cache/log")"
    mv "$work/packages" "$cache/packages"
    mv "$work/root.img" "$cache/root.img"
    rm -rf "$work"
    trap - EXIT
}

update=false
for argument in "$@"; do
    case $argument in
        --update) update=true ;;
        -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" && exit 0 ;;
        *) die "'$argument' is no option (--update)" ;;
    esac
done

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Two builds at once would make the same image twice.
exec 9>"$cache/.lock"
need flock util-linux
flock 9
stamp=$(cat "$here/build.sh" "$here/setup" "$here/createcluster.conf" | sha256sum)
if $update || [ ! -e "$cache/root.img" ] || [ "$(cat "$cache/stamp" 2>/dev/null)" != "$stamp" ]; then
    need apt-get apt
    need mmdebstrap mmdebstrap
    need mke2fs e2fsprogs
    [ "$(id -u)" = 0 ] || die "packages are installed in a chroot, which root may do: sudo $0"
    make_image
    echo "$stamp" >"$cache/stamp"
fi
echo "$cache/root.img"
