# What needs modules that few kernels of test machines have: quotas of volumes, packets of SCTP, volumes over NFS and CIFS.
socket=/run/gantry-test.sock
image=gantry/busybox
node=/gantry/node_modules/node/bin/node
if command -v docker >/dev/null; then engine="docker -H unix://$socket"; else engine="/gantry/gantry -H unix://$socket"; fi

. /sbin/guest-words

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
start_daemon() {
  /gantry/gantry daemon -H unix://$socket --data-root /mnt/data --pidfile /run/gantry-test.pid >>/tmp/daemon.log 2>&1 &
  daemon=$!
  tries=0
  until timeout 10 $engine version >/dev/null 2>&1 || [ $tries = 150 ]; do tries=$((tries + 1)); sleep 0.2; done
}
start_daemon
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

# files.test is this machine.
echo "127.0.0.1 files.test" >>/etc/hosts
# unmounted NAME: the volume is mounted nowhere, within 30 seconds
unmounted() {
  tries=0
  while grep -q "volumes/$1/" /proc/mounts && [ $tries != 30 ]; do tries=$((tries + 1)); sleep 1; done
  grep "volumes/$1/" /proc/mounts || echo unmounted
}

# CIFS: a share of Samba's.
modprobe cifs
smb=/samba
mkdir -p $smb/share $smb/run/samba $smb/var/lib/samba/private $smb/var/cache/samba $smb/var/log/samba $smb/etc/samba
mount -o bind /dev $smb/dev
mount -t proc none $smb/proc
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >$smb/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >$smb/etc/group
printf '[global]\n\tserver role = standalone server\n\tload printers = no\n\tdisable netbios = yes\n' >$smb/etc/samba/smb.conf
printf '[share]\n\tpath = /share\n\tread only = no\n' >>$smb/etc/samba/smb.conf
printf 's3cret\ns3cret\n' | chroot $smb smbpasswd -a -s root && chroot $smb smbd -D || not_ok "the CIFS server" "$(cat $smb/var/log/samba/log.smbd)"
serves() { for _ in $(seq 90); do netstat -ltn | grep -q ':445 ' && echo serves && return; sleep 1; done; }
holds "the CIFS server serves" '^serves$' serves
cifs="volume create -o type=cifs -o device=//files.test/share -o"
holds "a volume over CIFS, by the server's name" '^cifs$' $engine $cifs o=username=root,password=s3cret,vers=3.0 cifs
holds "a container writes over CIFS" '^done$' $engine run --rm -v cifs:/v $image sh -c 'echo over cifs >/v/f && echo done'
holds "the CIFS server has it" '^over cifs$' cat $smb/share/f
holds "another container reads over CIFS" '^over cifs$' $engine run --rm -v cifs:/v $image cat /v/f
holds "the share is mounted by its address" '^//127.0.0.1/share /v cifs .*addr=127.0.0.1' $engine run --rm -v cifs:/v $image cat /proc/mounts
holds "the share no longer than it is used" '^unmounted$' unmounted cifs
holds "the volume over CIFS goes" '^cifs$' $engine volume rm cifs
holds "the share's files stay" '^over cifs$' cat $smb/share/f
$engine $cifs o=addr=files.test,username=root,password=s3cret,vers=3.0,ro named >/dev/null
holds "a share by addr=, read only" 'over cifs.*Read-only file system' sh -c "$engine run --rm -v named:/v $image sh -c 'cat /v/f; touch /v/g' 2>&1 | tr '\\n' ' '"
$engine $cifs o=username=root,password=wr0ng,vers=3.0 refused >/dev/null
refused() { $engine run --rm -v refused:/v $image true 2>&1 | tr '\n' ' '; }
holds "a wrong password is told, not shown" 'password=[*]{8}.*[Pp]ermission denied' refused
holds "a wrong password is not in the daemon's log" '^0$' grep -c wr0ng /tmp/daemon.log
$engine volume create -o type=cifs -o device=//files.test/nothing -o o=username=root,password=s3cret,vers=3.0 nothing >/dev/null
holds "a share that is not there" '//127.0.0.1/nothing.*[Nn]o such file' $engine run --rm -v nothing:/v $image true
holds "volumes of shares go" '^refused$' $engine volume rm named refused nothing

# NFS: the kernel's own server, with its helpers. At 192.0.2.9 nobody answers.
ip link add away type dummy
ip addr add 192.0.2.2/24 dev away
ip link set away up
modprobe nfsd
mkdir -p /export /var/lib/nfs/v4recovery
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t nfsd none /proc/fs/nfsd
printf 'nfs 2049/tcp\nnfs 2049/udp\n' >>/etc/services
echo '/export *(rw,no_root_squash,insecure,no_subtree_check)' >/etc/exports
rpc.mountd -N 2 -N 3 && exportfs -a && rpc.nfsd -N 3 -G 10 -L 10 2 || not_ok "the NFS server" "$(dmesg | tail -5)"
nfs="volume create -o type=nfs -o device=:/export -o"
holds "a volume over NFS, by the server's name" '^nfs$' $engine $nfs o=addr=files.test,rw,nfsvers=4 nfs
holds "a container writes over NFS" '^done$' $engine run --rm -v nfs:/v $image sh -c 'echo over nfs >/v/f && echo done'
holds "the server has it" '^over nfs$' cat /export/f
holds "another container reads over NFS" '^over nfs$' $engine run --rm -v nfs:/v $image cat /v/f
holds "it is mounted by its address" ' /v nfs4 .*addr=127.0.0.1' $engine run --rm -v nfs:/v $image cat /proc/mounts
holds "no longer than it is used" '^unmounted$' unmounted nfs
holds "the volume over NFS goes" '^nfs$' $engine volume rm nfs
holds "its files stay" '^over nfs$' cat /export/f
# A server that goes away while it is mounted: at 192.0.2.3, whose packets are lost once this machine has that address no
# longer. The kernel waits for it as long as it likes, so whatever asks for a file does.
ip addr add 192.0.2.3/24 dev away
soon="timeout 60 $engine"
$engine $nfs o=addr=192.0.2.3,rw,nfsvers=4 share >/dev/null
$engine run -d --name held -v share:/v $image sh -c 'while :; do date >>/v/clock; usleep 200000; done' >/dev/null
$engine run -d --name other -v other:/v $image sleep 600 >/dev/null
holds "a container goes on writing over NFS" '^[1-9]' sh -c 'sleep 2; wc -l </export/clock'
ip addr del 192.0.2.3/24 dev away
sleep 2
holds "server away: the container is listed" '^held$' $soon ps --format '{{.Names}}' --filter name=held
holds "server away: inspect" '^true share$' $soon inspect -f '{{.State.Running}} {{range .Mounts}}{{.Name}}{{end}}' held
holds "server away: volume ls" '^other$' $soon volume ls -q
holds "server away: volume inspect" '^nfs$' $soon volume inspect -f '{{.Options.type}}' share
holds "server away: system df" '^Local Volumes' $soon system df
holds "server away: a volume in use stays" 'volume is in use' $soon volume rm share
holds "server away: others start" '^on$' $soon run --rm -v other:/v $image echo on
holds "server away: others stop and go" '^other$' sh -c "$soon stop -t 1 other && $soon rm other >/dev/null"
holds "server away: volumes of others go" '^other$' $soon volume rm other
holds "server away: another container with the volume" 'no answer from the server' $soon run --rm -v share:/v $image true
holds "server away: cp" 'no answer from the server' $soon cp held:/v/clock /tmp/clock
kill -9 $daemon
wait $daemon
start_daemon
holds "server away: a daemon that is started then finds the container" '^running$' $soon inspect -f '{{.State.Status}}' held
holds "server away: stop" '^held$' $soon stop -t 1 held
holds "server away: the container has ended" '^exited 137$' $soon inspect -f '{{.State.Status}} {{.State.ExitCode}}' held
holds "server away: it goes" '^held$' $soon rm held
holds "server away: others start after that" '^on$' $soon run --rm $image echo on
holds "server away: the volume goes" '^share$' $soon volume rm share
ip addr add 192.0.2.3/24 dev away
holds "server back: its files stay" '^[1-9]' sh -c 'wc -l </export/clock'

# The same, until it is back.
$engine $nfs o=addr=192.0.2.3,rw,nfsvers=4 again >/dev/null
$engine run -d --name waits -v again:/v $image sh -c 'while :; do date >>/v/waited; usleep 200000; done' >/dev/null
sleep 2
ip addr del 192.0.2.3/24 dev away
sleep 2
ip addr add 192.0.2.3/24 dev away
lines=$(wc -l </export/waited)
grows() { for _ in $(seq 90); do [ $(wc -l </export/waited) -gt $1 ] && echo grows && return; sleep 1; done; }
holds "server back: the container goes on" '^grows$' grows "$lines"
holds "server back: a container is removed by force" '^waits$' $soon rm -f waits
holds "server back: nothing is mounted" '^unmounted$' unmounted again
holds "server back: the volume goes" '^again$' $soon volume rm again

$engine $nfs o=addr=files.invalid,rw,nfsvers=4 unknown >/dev/null
holds "a server that has no address" 'error resolving passed in network volume address' $engine run --rm -v unknown:/v $image true
$engine $nfs o=addr=192.0.2.9,rw,nfsvers=4 gone >/dev/null
began=$(date +%s)
$engine run --rm -v gone:/v $image true >/tmp/gone 2>&1 &
waiting=$!
holds "others go on while a server is away" '^on$' $engine run --rm $image echo on
wait $waiting
holds "a server that is away" 'no answer from the server|[Tt]imed out|Connection refused|No route' cat /tmp/gone
holds "is given up in time" '^(yes)$' sh -c "[ $(($(date +%s) - began)) -lt 180 ] && echo yes"
holds "nothing of it is left" '^unmounted$' unmounted gone
holds "volumes of servers that are away go" '^gone$' $engine volume rm gone unknown
kill $daemon
wait $daemon
holds "the daemon ends" '^$' sh -c 'ps | grep "[g]antry daemon"; true'
