#!/bin/sh
# First process of the nested host. Its own output goes to the second serial port, as the kernel's does; the first is
# the command's alone. /run/godwit holds what the packer left: nonce, terminal, command.
export PATH=/work:/bin HOME=/work TERM=linux
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
exec >/dev/ttyS1 2>&1 </dev/null

nonce=$(cat /run/godwit/nonce)
rm /run/godwit/nonce
for module in /modules/*.ko; do
    insmod "$module" || echo "$nonce failed insmod ${module##*/}"
done
# The kernel measures the TSC twice, the second time 3 s after it started. Where KVM came in between and the first was off by more
# than this, it wants to scale guests' TSCs, cannot (the emulator has no TSC scaling), and leaves their scale at zero: their timers
# then fire as late as the host is old. A million parts in a million: never scale.
echo 1000000 >/sys/module/kvm/parameters/tsc_tolerance_ppm
ip link set lo up
[ -c /dev/kvm ] || echo "$nonce failed to make /dev/kvm"
echo "$nonce up"

cd /work
if [ -e /run/godwit/terminal ]; then
    stty -F /dev/ttyS0 sane $(cat /run/godwit/terminal)
    setsid -c sh /run/godwit/command </dev/ttyS0 >/dev/ttyS0 2>&1
    code=$?
else
    # A pipe, because programs draw differently for a terminal.
    stty -F /dev/ttyS0 raw -echo
    mkfifo /run/godwit/output
    cat /run/godwit/output >/dev/ttyS0 &
    printer=$!
    setsid sh /run/godwit/command </dev/null >/run/godwit/output 2>&1
    code=$?
    # What the command left running would keep the pipe open.
    for process in /proc/[1-9]*; do
        pid=${process#/proc/}
        [ "$pid" = 1 ] || [ "$pid" = "$printer" ] || kill -9 "$pid"
    done
    wait $printer
fi
# Nothing of the kernel's may fall into the middle of the result.
dmesg -n 1
echo "$nonce exit $code"
poweroff -f
