# Smoke tests inside the guest. Each prints "ok NAME" or "not ok NAME" with what was seen.
socket=/run/gantry-test.sock
if command -v docker >/dev/null; then engine="docker -H unix://$socket"; else engine="/gantry/gantry -H unix://$socket"; fi
image=gantry/busybox

. /sbin/guest-words

# matches NAME PATTERN COMMAND…: the lines of its output, joined by spaces, match
matches() {
  name=$1 pattern=$2
  shift 2
  seen=$("$@" 2>&1)
  if printf '%s\n' "$seen" | tr '\n' ' ' | sed 's/ $//' | grep -Eq -- "$pattern"; then ok "$name"; else not_ok "$name" "expected: $pattern
seen: $seen"; fi
}

# start_daemon FLAGS…
start_daemon() {
  /gantry/gantry daemon -H unix://$socket --pidfile /run/gantry-test.pid "$@" >>/tmp/daemon.log 2>&1 &
  daemon=$!
  tries=0
  until $engine version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 150 ] || ! kill -0 $daemon 2>/dev/null; then
      not_ok "the daemon starts" "$(tail -20 /tmp/daemon.log)"
      return 1
    fi
    sleep 0.2
  done
}

is "the only cgroup file system is version 2" cgroup2 awk '$3 ~ /^cgroup/ { print $3 }' /proc/mounts
start_daemon || exit
ok "the daemon starts"
$engine pull $image >/dev/null 2>&1

is "run echo" hello $engine run --rm $image echo hello
is "exit code of the program" 3 exit_code $engine run --rm $image sh -c 'exit 3'
is "exit code 127" 127 exit_code $engine run --rm $image no-such-program
is "-m is memory.max" 33554432 $engine run --rm -m 32m $image cat /sys/fs/cgroup/memory.max
is "--pids-limit is pids.max" 7 $engine run --rm --pids-limit 7 $image cat /sys/fs/cgroup/pids.max
is "--cpus is cpu.max" "50000 100000" $engine run --rm --cpus 0.5 $image cat /sys/fs/cgroup/cpu.max
is "the cgroup namespace is private" 0::/ $engine run --rm $image cat /proc/self/cgroup
is "going over -m kills with 137" 137 exit_code $engine run --name eater -m 16m $image tail /dev/zero
is "and is told as OOMKilled" true $engine inspect -f '{{.State.OOMKilled}}' eater
is "devices are denied" "Operation not permitted" sh -c "$engine run --rm $image sh -c 'mknod /d b 254 0 && cat /d' 2>&1 | grep -o 'Operation not permitted'"

. /sbin/guest-resources
$engine run -d --name limited -m 64m $image sh -c 'while :; do :; done' >/dev/null
$engine update -m 32m --memory-swap 48m --cpus 0.2 --pids-limit 9 --cpu-shares 256 limited >/dev/null
is "update: memory.max" 33554432 $engine exec limited cat /sys/fs/cgroup/memory.max
is "update: memory.swap.max" 16777216 $engine exec limited cat /sys/fs/cgroup/memory.swap.max
is "update: cpu.max" "20000 100000" $engine exec limited cat /sys/fs/cgroup/cpu.max
is "update: cpu.weight" 10 $engine exec limited cat /sys/fs/cgroup/cpu.weight
is "update: pids.max" 9 $engine exec limited cat /sys/fs/cgroup/pids.max
matches "stats: name, share of a processor, memory and its limit, processes" "^limited (1[0-9]|2[0-9])\\.[0-9]+% .+ / 32MiB [1-9]$" \
  $engine stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}' limited
matches "stats: network and block I/O are counted" "^[0-9.]+[kMG]?B / [0-9.]+[kMG]?B [0-9.]+[kMG]?B / [0-9.]+[kMG]?B$" \
  $engine stats --no-stream --format '{{.NetIO}} {{.BlockIO}}' limited
$engine rm -f limited >/dev/null

for parent in gt-wire2 gt-wire3 gt-wire4; do ip link add $parent type dummy; ip link set $parent up; done
$engine network create -d ipvlan -o parent=gt-wire2 --subnet 10.201.17.0/24 l2 >/dev/null
$engine run -d --name l2 --network l2 --ip 10.201.17.5 $image sleep 300 >/dev/null
is "ipvlan l2: the parent's hardware address" "$(cat /sys/class/net/gt-wire2/address)" $engine exec l2 cat /sys/class/net/eth0/address
matches "ipvlan l2: a route by the gateway, and a neighbour in reach" 'default via 10\.201\.17\.1 dev eth0.* 0% packet loss' \
  $engine run --rm --network l2 $image sh -c 'ip route; ping -c 1 -W 2 10.201.17.5'
$engine network create -d ipvlan -o parent=gt-wire3 -o ipvlan_mode=l3 --subnet 10.201.18.0/24 --subnet 10.201.19.0/24 l3 >/dev/null
$engine run -d --name l3 --network l3 --ip 10.201.18.5 $image sleep 300 >/dev/null
matches "ipvlan l3: a route by the device, and the other subnet in reach" 'default dev eth0.* 0% packet loss' \
  $engine run --rm --network l3 --ip 10.201.19.5 $image sh -c 'ip route; ping -c 1 -W 2 10.201.18.5'
$engine network create -d macvlan -o parent=gt-wire4.50 --subnet 10.201.20.0/24 vlan >/dev/null
$engine run -d --name vlan --network vlan --ip 10.201.20.5 $image sleep 300 >/dev/null
matches "macvlan on a VLAN that was made for it" ' 0% packet loss' $engine run --rm --network vlan $image ping -c 1 -W 2 10.201.20.5
$engine network create -d macvlan --internal apart >/dev/null
is "macvlan without a parent has a dummy" 1 sh -c 'ip link | grep -c ": dm-[0-9a-f]*:"'
$engine rm -f l2 l3 vlan >/dev/null
$engine network rm l2 l3 vlan apart >/dev/null
is "devices that were made for networks are gone, others stay" "gt-wire2 gt-wire3 gt-wire4" \
  sh -c 'ls /sys/class/net | grep -E "gt-|^dm-|^di-" | tr "\n" " " | sed "s/ $//"'

inner="$engine exec outer /gantry/gantry"
$engine run -d --privileged --name outer -v /gantry:/gantry:ro -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro \
  -v inner:/var/lib/gantry --tmpfs /run:exec $image /gantry/gantry daemon --bip 10.204.78.1/24 >/dev/null
tries=0
until $inner version >/dev/null 2>&1 || [ $tries -gt 100 ]; do tries=$((tries + 1)); sleep 0.3; done
$inner pull $image >/dev/null 2>&1
is "a daemon in a container: run, with a limit" 33554432 $inner run --rm -m 32m $image cat /sys/fs/cgroup/memory.max
is "a daemon in a container: going over the limit" "137 true" sh -c "$inner run --name in -m 16m $image tail /dev/zero >/dev/null 2>&1; echo \$? \$($inner inspect -f '{{.State.OOMKilled}}' in)"
$engine rm -f -v outer >/dev/null 2>&1
$engine volume rm inner >/dev/null

$engine run -d --name box -p 8080:80 $image sh -c 'nc -ll -p 80 -e echo web & i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done' >/dev/null
is "exec" inside $engine exec box echo inside
is "published port on 127.0.0.1" web sh -c 'sleep 0.5; nc -w 5 127.0.0.1 8080 </dev/null'
pid=$($engine inspect -f '{{.State.Pid}}' box)
kill -9 "$(cat /run/gantry-test.pid)"
sleep 0.5
is "the container outlives kill -9 of the daemon" 0 exit_code kill -0 "$pid"
start_daemon
is "the daemon comes back and finds it" "box $pid" $engine inspect -f 'box {{.State.Pid}}' box
is "exec after the restart" again $engine exec box echo again
is "published port after the restart" web sh -c 'nc -w 5 127.0.0.1 8080 </dev/null'
$engine stop -t 1 box >/dev/null
is "stop gives 137 for a shell that takes no notice" 137 $engine inspect -f '{{.State.ExitCode}}' box
$engine logs box >/tmp/log 2>&1
is "no log line is lost" "" sh -c 'seq 1 $(wc -l </tmp/log) | cmp - /tmp/log'
. /sbin/guest-apparmor
$engine rm -f box eater >/dev/null
is "nothing is left: cgroups" 0 sh -c 'find /sys/fs/cgroup -type d | grep -c -E "[0-9a-f]{64}"; true'
is "nothing is left: mounts" 0 sh -c 'grep -c " /var/lib/gantry/.*overlay" /proc/mounts; true'
kill "$daemon"
wait "$daemon"
is "SIGTERM ends the daemon" 1 exit_code kill -0 "$daemon"
. /sbin/guest-daemon-flags
