# What needs modules that few kernels of test machines have: quotas of volumes, and packets of SCTP.
socket=/run/gantry-test.sock
image=gantry/busybox
node=/gantry/node_modules/node/bin/node
if command -v docker >/dev/null; then engine="docker -H unix://$socket"; else engine="/gantry/gantry -H unix://$socket"; fi

ok() { echo "ok $1"; }
not_ok() { echo "not ok $1"; shift; printf '%s\n' "$*" | sed 's/^/  # /'; }

# holds NAME PATTERN COMMAND…: what it prints matches, whatever its code
holds() {
  name=$1 pattern=$2
  shift 2
  seen=$("$@" 2>&1)
  if printf '%s\n' "$seen" | grep -Eq -- "$pattern"; then ok "$name"; else not_ok "$name" "expected: $pattern
seen: $seen"; fi
}

# asks ADDRESS: until the server answers, at most 30 times
asks() {
  tries=0
  until seen=$(timeout 10 $node /gantry/sctp.mjs ask "$1" 7000 2>&1) || [ $tries = 30 ]; do
    tries=$((tries + 1))
    sleep 1
  done
  echo "$seen"
}

for module in loop quota_v2 sctp; do modprobe $module; done
mkdir -p /mnt
mount -o loop,prjquota /quota.ext4 /mnt || not_ok "the quota file system" "$(dmesg | tail -3)"
/gantry/gantry daemon -H unix://$socket --data-root /mnt/data --pidfile /run/gantry-test.pid >/tmp/daemon.log 2>&1 &
daemon=$!
tries=0
until $engine version >/dev/null 2>&1 || [ $tries = 150 ]; do tries=$((tries + 1)); sleep 0.2; done
$engine image inspect $image >/dev/null 2>&1 || $engine pull -q $image

holds "a volume with a quota" '^small$' $engine volume create -o size=1m small
holds "within the quota" '512\+0 records out' $engine run --rm -v small:/v $image dd if=/dev/zero of=/v/f bs=1k count=512
holds "over the quota" '[Qq]uota exceeded|No space left' $engine run --rm -v small:/v $image dd if=/dev/zero of=/v/g bs=1k count=2048
holds "another volume has none" '4096\+0 records out' $engine run --rm -v large:/v $image dd if=/dev/zero of=/v/f bs=1k count=4096
holds "the volume goes" '^small$' $engine volume rm small

$engine run -d --name sctp -p 7000:7000/sctp $image sleep 600 >/dev/null
pid=$($engine inspect -f '{{.State.Pid}}' sctp)
nsenter -t $pid -n $node /gantry/sctp.mjs serve 7000 &
server=$!
holds "SCTP at the container's address" '^served$' asks "$($engine inspect -f '{{.NetworkSettings.IPAddress}}' sctp)"
holds "SCTP by a published port, from the host" '^served$' asks 172.17.0.1
holds "SCTP by a published port, over loopback" '^served$' asks 127.0.0.1
holds "the port as listed" '7000/sctp -> 0.0.0.0:7000' $engine port sctp
kill $server
$engine rm -f sctp >/dev/null
kill $daemon
wait $daemon
