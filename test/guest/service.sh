# The daemon under systemd, in a guest that Debian's own systemd boots: run by a unit at the end of each boot. The first boot
# installs the units as docs/service.md says and restarts what can be restarted; the second, after a reboot, looks at what came back.
exec >/dev/console 2>&1
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export PATH HOME
. /sbin/guest-words
image=gantry/busybox
daemon_pid() { systemctl show -P MainPID gantry.service; }
program_pid() { gantry inspect -f '{{.State.Pid}}' "$1"; }
ready() { gantry -H unix:///run/gantry/gantry.sock version >/dev/null 2>&1; }
until_ready() {
  tries=0
  until ready; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ]; then not_ok "the daemon answers" "$(journalctl -u gantry -n 20)"; return 1; fi
    sleep 0.2
  done
}

first_boot() {
  cp /gantry/contrib/systemd/gantry.* /etc/systemd/system/
  mkdir -p /etc/gantry
  echo '{"labels": ["round=first"]}' >/etc/gantry/daemon.json
  systemctl daemon-reload
  is "the units are enabled and started" 0 exit_code systemctl enable --now gantry.socket gantry.service
  until_ready || return
  is "the service is ready when its start is done" running systemctl show -P SubState gantry.service
  is "the API answers at the socket unit's socket" "root docker 660" stat -c '%U %G %a' /run/gantry/gantry.sock
  gantry pull -q $image >/dev/null
  gantry run -d --name web --restart always -m 64m $image httpd -f -h /etc >/dev/null
  gantry run -d --name plain $image sleep 36000 >/dev/null
  pid=$(program_pid web)
  is "a container has its own chance to be killed for memory" 0 cat "/proc/$pid/oom_score_adj"
  is "nothing of the service manager's is in a container" "" \
    gantry run --rm $image sh -c 'env | grep -E "NOTIFY|LISTEN|JOURNAL|INVOCATION"; true'
  is "limits are there" 67108864 cat "/sys/fs/cgroup/$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/memory.max"
  is "a log by the journal" "a line" sh -c "gantry run --rm --name told --log-driver journald $image echo a line >/dev/null; \
    tries=0; until journalctl -q -o cat CONTAINER_NAME=told | grep .; do tries=\$((tries + 1)); [ \$tries -lt 50 ] || exit 1; sleep 0.2; done"

  echo '{"labels": ["round=second"]}' >/etc/gantry/daemon.json
  before=$(daemon_pid)
  is "systemctl reload ends when the file is read" 0 exit_code systemctl reload gantry.service
  tries=0
  until [ "$(gantry info -f '{{.Labels}}')" = "[round=second]" ] || [ $tries = 50 ]; do tries=$((tries + 1)); sleep 0.2; done
  is "and it is" "[round=second]" gantry info -f '{{.Labels}}'
  is "by the same process" "$before" daemon_pid
  is "systemctl daemon-reload takes no limit away" 67108864 \
    sh -c "systemctl daemon-reload; cat /sys/fs/cgroup/$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/memory.max"
  is "nor from what is started after it" 33554432 gantry run --rm -m 32m $image cat /sys/fs/cgroup/memory.max

  is "systemctl restart" 0 exit_code systemctl restart gantry.service
  until_ready
  is "leaves containers running" "$pid" program_pid web
  systemctl kill -s KILL --kill-who=main gantry.service
  until_ready
  is "a daemon that is killed is started again, and containers run on" "$pid" program_pid web
  is "with their limits" 67108864 cat "/sys/fs/cgroup/$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/memory.max"
  systemctl stop gantry.service 2>/dev/null
  is "a stop leaves containers running" 0 exit_code kill -0 "$pid"
  is "and a connection starts the daemon again" "$pid" program_pid web
  is "which is the service" active systemctl show -P ActiveState gantry.service
  gantry exec web true
  is "an exec" 0 exit_code gantry exec web true
}

second_boot() {
  until_ready || return
  tries=0
  until [ "$(gantry inspect -f '{{.State.Status}}' web)" = running ] || [ $tries = 150 ]; do tries=$((tries + 1)); sleep 0.2; done
  is "after a reboot restart policies are followed" "running" gantry inspect -f '{{.State.Status}}' web
  is "with limits" 67108864 cat "/sys/fs/cgroup/$(sed -n 's/^0:://p' "/proc/$(program_pid web)/cgroup")/memory.max"
  is "and a container without one stays down" "exited" gantry inspect -f '{{.State.Status}}' plain
  is "nothing of it failed at this boot" "" systemctl list-units --failed --no-legend --plain 'gantry*'
  systemctl stop gantry.socket gantry.service
  is "a stop of both ends the daemon" inactive systemctl show -P ActiveState gantry.service
}

echo "guest: kernel $(uname -r), systemd after $(cut -d' ' -f1 /proc/uptime) s"
if [ -e /etc/gantry/daemon.json ]; then second_boot; else first_boot; fi
echo "guest: done after $(cut -d' ' -f1 /proc/uptime) s"
sync
systemctl --no-block poweroff
