# SELinux, with the policy of selinux.conf in force. Each line that is printed becomes a test.
socket=/run/gantry-test.sock
image=gantry/busybox
if command -v docker >/dev/null; then engine="docker -H unix://$socket"; else engine="/gantry/gantry -H unix://$socket"; fi

. /sbin/guest-words

# holds NAME PATTERN COMMAND…: the lines that it prints, joined by spaces, match, whatever its code
holds() {
  name=$1 pattern=$2
  shift 2
  seen=$("$@" 2>&1 | tr '\0\n' '  ')
  if printf '%s\n' "$seen" | grep -Eq -- "$pattern"; then ok "$name"; else not_ok "$name" "expected: $pattern
seen: $seen"; fi
}

# start_daemon FLAGS…
start_daemon() {
  /gantry/gantry daemon -H unix://$socket --pidfile /run/gantry-test.pid "$@" >>/tmp/daemon.log 2>&1 &
  daemon=$!
  tries=0
  until $engine version >/dev/null 2>&1 || [ $tries = 300 ]; do tries=$((tries + 1)); sleep 0.3; done
}

stop_daemon() {
  kill "$daemon"
  wait "$daemon"
}

current=/proc/self/attr/current
mount -t selinuxfs none /sys/fs/selinux
start_daemon --selinux-enabled
holds "without a policy there is no SELinux" 'could not enable SELinux' cat /tmp/daemon.log
stop_daemon
dd if=/selinux.policy of=/sys/fs/selinux/load bs=16M 2>/dev/null
echo 1 >/sys/fs/selinux/enforce
holds "the policy is in force" '^system_u:system_r:host_t:s0 1' cat $current /sys/fs/selinux/enforce

# As docs/security.md has it: what is made below inherits it.
find /var/lib/gantry/snapshots -exec setfattr -h -n security.selinux -v system_u:object_r:container_ro_file_t:s0 {} +

mount -o bind,ro /sys/fs/selinux /sys/fs/selinux
mount -o remount,bind,ro /sys/fs/selinux
: >/tmp/daemon.log
start_daemon --selinux-enabled
holds "a selinuxfs that is read-only is none" 'could not enable SELinux' cat /tmp/daemon.log
$engine image inspect $image >/dev/null 2>&1 || $engine pull -q $image >/dev/null
holds "and the daemon runs containers" '^ran $' $engine run --rm $image echo ran
stop_daemon
umount /sys/fs/selinux

: >/tmp/daemon.log
start_daemon --selinux-enabled
holds "no warning" '^$' sh -c 'grep -i selinux /tmp/daemon.log; true'
holds "info names it" 'name=selinux' $engine info -f '{{.SecurityOptions}}'
pair='s0:c[0-9]+,c[0-9]+'
for runtime in crun runc; do
  holds "$runtime: processes and files of a container have its label" \
    "^system_u:system_r:container_t:($pair) +overlay / overlay .*context=\"?system_u:object_r:container_file_t:\\1[\", ]" \
    $engine run --rm --runtime $runtime $image sh -c "cat $current; echo; grep '^overlay / ' /proc/mounts"
done
$engine run -d --name one --ipc shareable --hostname one-host $image sleep 900 >/dev/null
$engine create --name kept --runtime runc $image cat $current >/dev/null
label=$($engine inspect -f '{{.ProcessLabel}}' one)
holds "inspect names the labels" "^system_u:system_r:container_t:($pair) system_u:object_r:container_file_t:\\1 $" \
  $engine inspect -f '{{.ProcessLabel}} {{.MountLabel}}' one
holds "exec has the label" "^$label " $engine exec one cat $current
holds "--privileged has none" '^system_u:system_r:host_t:s0 ' $engine run --rm --privileged $image cat $current
holds "label=disable has none" '^system_u:system_r:host_t:s0 ' $engine run --rm --security-opt label=disable $image cat $current
holds "label=type, label=level" '^system_u:system_r:other_container_t:s0:c1,c2 ' \
  $engine run --rm --security-opt label=type:other_container_t --security-opt label=level:s0:c1,c2 $image cat $current
holds "a type that the policy does not know" 'does not know the label' \
  $engine run --rm --security-opt label=type:nobodys_t $image true

mkdir -p /srv/plain /srv/shared/deep /srv/private/deep
for directory in plain shared/deep private/deep; do echo "in $directory" >"/srv/$directory/file"; done
holds "a bind without a mode is not for the container" 'Permission denied' $engine run --rm -v /srv/plain:/d $image cat /d/file
holds ":z is for all" '^in shared/deep in shared/deep $' \
  sh -c "for i in 1 2; do $engine run --rm -v /srv/shared:/d:z $image cat /d/deep/file; done"
holds ":z labels the tree without categories" '^(system_u:object_r:container_file_t:s0 ){3}$' \
  getfattr --absolute-names --only-values -n security.selinux /srv/shared /srv/shared/deep /srv/shared/deep/file
$engine run -d --name private -v /srv/private:/d:Z $image sleep 900 >/dev/null
holds ":Z is for the container" '^in private/deep $' $engine exec private cat /d/deep/file
holds ":Z is for no other" 'Permission denied' $engine run --rm -v /srv/private:/d $image cat /d/deep/file
holds "the system's own are not relabelled" 'relabeling of /etc is not allowed' $engine run --rm -v /etc:/d:z $image true
holds "a named volume is for all" '^kept $' \
  sh -c "$engine run --rm -v named:/d $image sh -c 'echo kept >/d/f'; $engine run --rm -v named:/d $image cat /d/f"

holds "the files that name hosts can be read and written" 'one-host .*more' \
  $engine exec one sh -c 'cat /etc/hostname; echo 192.0.2.7 more >>/etc/hosts; cat /etc/hosts /etc/resolv.conf'
holds "--network container: reads and writes them too, under its own label" '^one-host .*more .*also' \
  $engine run --rm --network container:one $image sh -c 'cat /etc/hostname; echo 192.0.2.8 also >>/etc/hosts; cat /etc/hosts'
holds "and the owner as before" 'also' $engine exec one cat /etc/hosts
holds "--ipc container: has the label, and the memory" "^$label shared" \
  sh -c "$engine exec one sh -c 'echo shared >/dev/shm/f'; $engine run --rm --ipc container:one $image cat $current /dev/shm/f"
holds "--pid container: has the label" "^$label " $engine run --rm --pid container:one $image cat $current
holds "an image as a mount" 'busybox' $engine run --rm --mount type=image,source=$image,target=/i $image ls /i/bin
printf 'FROM %s\nRUN echo built >/built\n' $image >/tmp/Dockerfile
holds "what a build makes" '^built $' \
  sh -c "/gantry/gantry -H unix://$socket build -q -t built -f /tmp/Dockerfile /srv/plain >/dev/null && $engine run --rm built cat /built"

$engine rm -f private >/dev/null
stop_daemon
: >/tmp/daemon.log
start_daemon
holds "without the flag: what was made with labels goes on" "^$label " $engine exec one cat $current
$engine stop -t 1 one >/dev/null
holds "and starts with its label" "^$label " sh -c "$engine start one >/dev/null; $engine exec one cat $current"
holds "a new one has none" '^system_u:system_r:host_t:s0 ' $engine run --rm $image cat $current
$engine stop -t 1 one >/dev/null
# As on a kernel without SELinux: nothing can be asked any more.
umount /sys/fs/selinux
holds "where SELinux is gone, what was made with labels starts without" '^system_u:system_r:host_t:s0 ' \
  sh -c "$engine start one >/dev/null; $engine exec one cat $current"
holds "and with runc, which refuses labels there" '^system_u:system_r:host_t:s0 ' $engine start -a kept
$engine rm -f one kept >/dev/null
stop_daemon
