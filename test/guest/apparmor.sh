# AppArmor, which Debian's kernel has on: sourced by the smoke tests while their daemon runs.
mount -t securityfs none /sys/kernel/security
is "AppArmor is on" Y cat /sys/module/apparmor/parameters/enabled
label=/proc/self/attr/apparmor/current
core='echo core >/proc/sys/kernel/core_pattern && echo written'
kill "$(cat /run/gantry-test.pid)"
wait "$daemon"
# What the kernel has is looked at once: before there was nothing to see.
start_daemon
matches "AppArmor: info names it" 'name=apparmor' $engine info -f '{{.SecurityOptions}}'
$engine run -d --name confined $image sleep 300 >/dev/null
is "AppArmor: a container has docker-default" "docker-default (enforce)" $engine exec confined cat $label
is "AppArmor: inspect names it" docker-default $engine inspect -f '{{.AppArmorProfile}}' confined
$engine rm -f confined >/dev/null
matches "AppArmor: the profile denies what nothing else does" 'Permission denied' \
  $engine run --rm --security-opt systempaths=unconfined $image sh -c "$core"
is "AppArmor: --security-opt apparmor=unconfined" "unconfined
written" $engine run --rm --security-opt apparmor=unconfined --security-opt systempaths=unconfined $image sh -c "cat $label; $core"
is "AppArmor: --privileged is unconfined" unconfined $engine run --rm --privileged $image cat $label
cat >/tmp/profile <<'PROFILE'
profile gt-custom flags=(attach_disconnected,mediate_deleted) {
  network, capability, file, umount, signal, ptrace,
  deny /etc/hostname r,
}
PROFILE
apparmor_parser -Kr /tmp/profile
matches "AppArmor: a profile of one's own" '^gt-custom \(enforce\) cat: .*/etc/hostname.*: Permission denied$' \
  $engine run --rm --security-opt apparmor=gt-custom $image sh -c "cat $label /etc/hostname"
matches "AppArmor: a profile that is not loaded" 'AppArmor profile gt-missing is not loaded' \
  $engine run --rm --security-opt apparmor=gt-missing $image true
is "AppArmor: its exit code" 125 exit_code $engine run --rm --security-opt apparmor=gt-missing $image true
