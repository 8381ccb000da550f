#!/bin/bash
# The recipe of the Linux guest: a stock Debian cloud kernel and a busybox initramfs whose /init works and checks.
#
#   build.sh [--kernel-only] [--update] [6.1|6.12]...      (both series where none is named)
#
# What it leaves, per series, in <repo>/.cache/linux/<series>/ (GODWIT_LINUX_CACHE=DIR changes the folder):
#   vmlinuz          the bzImage, as Debian ships it
#   vmlinux          its payload: an ELF with a PVH note
#   release          the kernel's release, e.g. 6.1.0-56-cloud-amd64
#   lib/modules/     its modules, with modules.dep
#   initramfs.cpio   busybox, the virtio modules, memwork, vsockwork, jobwork, blockwork, iowork and /init (not with --kernel-only)
# <series> is a link to the folder of the release. What is there already is used as it is and needs no network;
# --update asks Debian for a newer release. The same inputs give the same bytes.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GODWIT_LINUX_CACHE:-$here/../../.cache/linux}
# Modules of the initramfs; their dependencies come along.
guest_modules="virtio_mmio virtio_rng virtio_blk virtio_net virtio_balloon vmw_vsock_virtio_transport pvpanic-mmio
    virtio_console button evdev"

die() {
    echo "build.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

# need COMMAND PACKAGE: dies with the way out where COMMAND is missing.
need() {
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null || die "'$1' is missing, and so is apt-get. This recipe unpacks Debian's own" \
        "packages: run it on Debian or in a Debian container, or bring your own kernel and initrd" \
        "(godwit run --kernel FILE --initrd FILE)."
    die "'$1' is missing: apt-get install $2"
}

check_tools() {
    need apt-get apt
    need dpkg dpkg
    need cpio cpio
    need flock util-linux
    need depmod kmod
    need busybox busybox-static
    need lz4 lz4
    need zstd zstd
    need xz xz-utils
    # A dynamic busybox would find no libraries in the initramfs.
    if busybox_file=$(command -v busybox) && LC_ALL=C ldd "$busybox_file" >/dev/null 2>&1; then
        die "'$busybox_file' is not static: apt-get install busybox-static"
    fi
}

# newest_package SERIES: the name of Debian's newest unsigned cloud kernel of that series.
newest_package() {
    apt-cache search --names-only "^linux-image-${1/./\\.}\\..*-cloud-amd64-unsigned$" |
        awk '{ print $1 }' | grep -v -- '-rt-' | sort -V | tail -n 1
}

find_package() {
    local name
    name=$(newest_package "$1")
    if [ -z "$name" ]; then
        apt-get update >/dev/null 2>&1 || true
        name=$(newest_package "$1")
    fi
    [ -n "$name" ] || die "apt knows no cloud kernel of series $1 (linux-image-$1.*-cloud-amd64-unsigned)." \
        "Run 'apt-get update' as root, or choose a series that this Debian has: apt-cache search cloud-amd64-unsigned"
    echo "$name"
}

# payload VMLINUZ: the ELF inside a bzImage. The setup header gives where the payload is; its last four bytes are the
# length of the ELF, which the compressors do not know (Documentation/arch/x86/boot.rst, "payload_offset").
payload() {
    local setup_sectors offset length start magic
    setup_sectors=$(od -An -tu1 -j $((0x1f1)) -N1 "$1")
    offset=$(od -An -tu4 -j $((0x248)) -N4 "$1")
    length=$(od -An -tu4 -j $((0x24c)) -N4 "$1")
    start=$(((setup_sectors + 1) * 512 + offset))
    magic=$(od -An -tx4 -j "$start" -N4 "$1" | tr -d ' ')
    case $magic in
        184c2102) set -- "$1" lz4 ;;
        fd2fb528) set -- "$1" zstd ;;
        *) die "the payload of $1 starts with $magic: neither LZ4 (184c2102) nor zstd (fd2fb528)" ;;
    esac
    dd if="$1" iflag=skip_bytes,count_bytes skip="$start" count=$((length - 4)) bs=1M status=none | "$2" -q -d -c
}

# fetch SERIES: puts kernel, modules and vmlinux of the newest release into the cache.
fetch() {
    local package release work
    package=$(find_package "$1")
    release=${package#linux-image-}
    release=${release%-unsigned}
    if [ ! -e "$cache/$release/release" ]; then
        echo "build.sh: fetching $package" >&2
        work=$(mktemp -d "$cache/.fetch.XXXXXX")
        (cd "$work" && apt-get download -q -o APT::Sandbox::User=root "$package" >apt.log 2>&1) ||
            die "apt-get download $package failed: $(tail -n 3 "$work/apt.log")"
        dpkg -x "$work"/*.deb "$work/tree"
        mkdir "$work/out"
        mv "$work/tree/boot/vmlinuz-$release" "$work/out/vmlinuz"
        payload "$work/out/vmlinuz" >"$work/out/vmlinux"
        [ -d "$work/tree/lib" ] || mv "$work/tree/usr/lib" "$work/tree/lib"
        mv "$work/tree/lib" "$work/out/lib"
        depmod -b "$work/out" "$release"
        echo "$release" >"$work/out/release"
        rm -rf "${cache:?}/$release"
        mv "$work/out" "$cache/$release"
        rm -rf "$work"
    fi
    ln -sfn "$release" "$cache/$1"
}

# build_programs: the static programs that work, check and measure, memwork, vsockwork, jobwork, blockwork and iowork; their folder on stdout.
build_programs() {
    local target="$cache/memwork"
    RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$here=linux" \
        cargo build --quiet --locked --release --target x86_64-unknown-linux-gnu --target-dir "$target" \
        --manifest-path "$here/memwork/Cargo.toml" || die "memwork does not build"
    echo "$target/x86_64-unknown-linux-gnu/release"
}

# copy_modules RELEASE ROOT: the guest's modules, unpacked and in the order of loading, as ROOT/modules/NN-name.ko.
copy_modules() {
    local module path name index=10
    mkdir -p "$2/modules"
    for module in $guest_modules; do
        while read -r verb path _; do
            [ "$verb" = insmod ] || continue
            name=$(basename "$path")
            name=${name%.xz}
            [ -z "$(find "$2/modules" -name "??-$name")" ] || continue
            case $path in
                *.xz) xz -dc "$path" ;;
                *) cat "$path" ;;
            esac >"$2/modules/$index-$name"
            index=$((index + 1))
        done < <(modprobe -C /dev/null -d "$cache/$1" -S "$1" --show-depends "$module")
    done
}

# initramfs RELEASE: packs the initramfs, unless the one there was made from the same inputs.
initramfs() {
    local root programs stamp out="$cache/$1/initramfs.cpio"
    programs=$(build_programs)
    stamp=$(cat "$here/build.sh" "$here/init" "$here/power-button" "$here/diskwork" "$here/portwork" "$programs"/{memwork,vsockwork,jobwork,blockwork,iowork} "$(command -v busybox)" | sha256sum)
    [ -e "$out" ] && [ "$(cat "$out.stamp" 2>/dev/null)" = "$stamp" ] && return
    root=$(mktemp -d "$cache/.initramfs.XXXXXX")
    chmod 755 "$root"
    mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc/acpi/PWRF}
    install -m 755 "$(command -v busybox)" "$root/bin/busybox"
    busybox --list | grep -v '^busybox$' | while read -r applet; do ln -s busybox "$root/bin/$applet"; done
    install -m 755 "$here/init" "$root/init"
    install -m 755 "$here/power-button" "$root/etc/acpi/PWRF/00000080"
    install -m 755 "$programs"/{memwork,vsockwork,jobwork,blockwork,iowork} "$root/bin/"
    install -m 755 "$here/diskwork" "$here/portwork" "$root/bin/"
    copy_modules "$1" "$root"
    find "$root" -exec touch -h -d @0 {} +
    (cd "$root" && find . -mindepth 1 -print0 | sort -z | cpio --null --create --quiet --format=newc \
        --reproducible --owner=0:0) >"$out.new"
    mv "$out.new" "$out"
    echo "$stamp" >"$out.stamp"
    rm -rf "$root"
}

kernel_only=false
update=false
series=()
for argument in "$@"; do
    case $argument in
        --kernel-only) kernel_only=true ;;
        --update) update=true ;;
        -h | --help) usage && exit 0 ;;
        [1-9].[0-9] | [1-9].[0-9][0-9]) series+=("$argument") ;;
        *) die "'$argument' is neither a kernel series (6.1, 6.12) nor an option (--kernel-only, --update)" ;;
    esac
done
[ ${#series[@]} -gt 0 ] || series=(6.1 6.12)

check_tools
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Two builds at once would pack into each other's folders.
exec 9>"$cache/.lock"
flock 9
for one in "${series[@]}"; do
    if $update || [ ! -e "$cache/$one/release" ]; then
        fetch "$one"
    fi
    $kernel_only || initramfs "$(cat "$cache/$one/release")"
    echo "$cache/$one"
done
