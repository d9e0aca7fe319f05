# In the guest, for power-cut.test.ts: says what is there after the last cut, then makes things until the power goes. Each
# line on the console is a fact: "try" before a request, "ack" after its answer.
engine="docker -H unix:///run/gantry-test.sock"
image=gantry/busybox
word() { sed -n "s/.*$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }
cut=$(word cut)
phase=$(word phase)

mkdir -p /var/lib/gantry
mount -t ext4 -o noatime /dev/vdb /var/lib/gantry || { echo "fatal: the disk cannot be mounted"; exit; }
/gantry/gantry registry serve --root /registry --address 127.0.0.1:5000 >/tmp/registry.log 2>&1 &
/gantry/gantry daemon -H unix:///run/gantry-test.sock --pidfile /run/gantry-test.pid >/tmp/daemon.log 2>&1 &
daemon=$!
tries=0
until $engine version >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ $tries -gt 600 ] || ! kill -0 $daemon 2>/dev/null; then
    echo "fatal: the daemon does not start"
    tail -20 /tmp/daemon.log
    exit
  fi
  sleep 0.2
done
grep -E '"level":"(warn|error)"| (WARN|ERROR) |warn|error' /tmp/daemon.log | sed 's/^/daemon: /'

# What restart policies start is started after the daemon answers.
tries=0
until [ -z "$($engine ps -aq --filter label=policy --filter status=exited)" ] || [ $tries -gt 150 ]; do
  tries=$((tries + 1))
  sleep 0.2
done
$engine ps -a --format 'have container {{.Names}} {{.State}}'
$engine volume ls --format 'have volume {{.Name}} present'
$engine network ls --filter type=custom --format 'have network {{.Name}} present'
$engine images --format 'have image {{.Repository}}:{{.Tag}} present'
for name in $($engine images --format '{{.Repository}}:{{.Tag}}' | grep -v '<none>' | head -3); do
  # The newest, whose layers are on the disk for the shortest time; the check below reads those of all.
  $engine run --rm --network none $name cat /own >/dev/null 2>&1 || $engine run --rm --network none $name true || echo "broken image $name"
done
/gantry/gantry -H unix:///run/gantry-test.sock system check >/tmp/check 2>&1
echo "check $?"
[ "$(tail -1 /tmp/check)" = "Nothing is wrong." ] || sed 's/^/check: /' /tmp/check
dmesg | grep -iE 'ext4-fs (error|warning)' | sed 's/^/kernel: /'
echo "verified"

try() { echo "try $*"; }
ack() { echo "ack $*"; }
# make KIND NAME STATE COMMAND…
make() {
  kind=$1 name=$2 state=$3
  shift 3
  try $kind $name $state
  "$@" >/tmp/out 2>&1 && ack $kind $name $state || { echo "failed $kind $name: $(tail -1 /tmp/out)"; }
}
$engine image inspect $image >/dev/null 2>&1 || make image $image:latest present $engine pull $image
for old in $($engine ps -aq); do $engine rm -f $old >/dev/null 2>&1; done
echo "cleared"
make container always-$cut running $engine run -d --name always-$cut --label policy --restart always $image sleep 100000
make container stopped-$cut running $engine run -d --name stopped-$cut --label stopped --restart unless-stopped $image sleep 100000
make container stopped-$cut exited $engine stop -t 0 stopped-$cut
echo "working"
number=0
while :; do
  number=$((number + 1))
  id=$cut-$number
  case $phase in
    pull)
      for each in 0 1 2; do
        name=127.0.0.1:5000/crash-$each/pulled:1
        make image $name absent $engine rmi -f $name
        make image $name present $engine pull $name
      done
      ;;
    build)
      make image built-$id:1 present env DOCKER_BUILDKIT=0 docker -H unix:///run/gantry-test.sock build --build-arg n=$id -t built-$id:1 /context
      ;;
    create)
      make volume data-$id present $engine volume create data-$id
      make container box-$id created $engine create --name box-$id -v data-$id:/etc $image sleep 1000
      [ $((number % 3)) != 0 ] || make container box-$id absent $engine rm box-$id
      ;;
    records)
      make volume vol-$id present $engine volume create vol-$id
      make network net-$id present $engine network create net-$id
      make image tag-$id:1 present $engine tag $image tag-$id:1
      make network net-$id absent $engine network rm net-$id
      make volume vol-$id absent $engine volume rm vol-$id
      make image tag-$id:1 absent $engine rmi tag-$id:1
      ;;
  esac
done
