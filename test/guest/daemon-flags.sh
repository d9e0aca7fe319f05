# What the daemon says for containers that do not say it themselves, on version 2 of control groups: sourced by the smoke
# tests when their daemon has ended.
printf '#!/bin/sh\nexport STARTED_BY=$0\nshift\nexec "$@"\n' >/tmp/init
chmod 755 /tmp/init
cat >/tmp/seccomp.json <<'PROFILE'
{"defaultAction": "SCMP_ACT_ALLOW",
 "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
PROFILE
start_daemon --default-ulimit nofile=777:888 --seccomp-profile /tmp/seccomp.json --init --init-path /tmp/init \
  --default-shm-size 32m --default-ipc-mode shareable --default-cgroupns-mode host --no-new-privileges
$engine run -d --name donor $image sleep 300 >/dev/null
is "--default-ulimit" "777 888" $engine exec donor sh -c 'echo $(ulimit -Sn) $(ulimit -Hn)'
is "--default-ulimit: the container's own wins" 999 $engine run --rm --ulimit nofile=999 $image sh -c 'ulimit -n'
matches "--default-shm-size" '^(tmpfs|shm) /dev/shm tmpfs .*size=32768k' $engine exec donor grep ' /dev/shm ' /proc/mounts
is "--default-ipc-mode shareable" "$($engine exec donor readlink /proc/self/ns/ipc)" \
  $engine run --rm --ipc container:donor $image readlink /proc/self/ns/ipc
is "--no-new-privileges" "NoNewPrivs: 1" $engine run --rm $image sh -c 'echo $(grep NoNewPrivs /proc/self/status)'
is "--no-new-privileges: the container's own wins" "NoNewPrivs: 0" \
  $engine run --rm --security-opt no-new-privileges=false $image sh -c 'echo $(grep NoNewPrivs /proc/self/status)'
matches "--seccomp-profile" 'Operation not permitted' $engine run --rm $image mkdir /made
is "--seccomp-profile: the container's own wins" 0 exit_code $engine run --rm --security-opt seccomp=builtin $image mkdir /made
is "--init, --init-path" /sbin/docker-init $engine run --rm $image sh -c 'echo $STARTED_BY'
is "--init: the container's own wins" "" $engine run --rm --init=false $image sh -c 'echo $STARTED_BY'
is "--default-cgroupns-mode host" "0::/gantry/$($engine inspect -f '{{.Id}}' donor)" $engine exec donor cat /proc/self/cgroup
is "--default-cgroupns-mode: the container's own wins" 0::/ $engine run --rm --cgroupns private $image cat /proc/self/cgroup
$engine rm -f donor >/dev/null
kill "$daemon"
wait "$daemon"
for flag in --cpu-rt-period=100000 --cpu-rt-runtime=50000; do
  matches "$flag" 'cpu-rt-period and cpu-rt-runtime are not implemented for cgroup v2' /gantry/gantry daemon -H unix://$socket $flag
done
