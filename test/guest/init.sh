#!/bin/sh
# First process of the guest: the file systems of a plain Linux with cgroup v2 only, then the smoke tests.
/bin/busybox --install -s /bin
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts none /dev/pts
mount -t tmpfs none /dev/shm
mount -t tmpfs none /run
mount -t tmpfs none /tmp
mount -t cgroup2 none /sys/fs/cgroup
mount --make-rshared /
hostname guest
ip link set lo up
modprobe overlay
echo "guest: kernel $(uname -r), up after $(cut -d' ' -f1 /proc/uptime) s"
script=$(sed -n 's/.*guest=\([a-z-]*\).*/\1/p' /proc/cmdline)
sh "/sbin/guest-${script:-smoke}"
echo "guest: done after $(cut -d' ' -f1 /proc/uptime) s"
poweroff -f
