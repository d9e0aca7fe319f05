# What the scripts of the guest say their results with; the test outside reads them.
ok() { echo "ok $1"; }
not_ok() { echo "not ok $1"; shift; printf '%s\n' "$*" | sed 's/^/  # /'; }

# is NAME EXPECTED COMMAND…: output and exit code 0
is() {
  name=$1 expected=$2
  shift 2
  seen=$("$@" 2>&1)
  code=$?
  if [ $code = 0 ] && [ "$seen" = "$expected" ]; then ok "$name"; else not_ok "$name" "expected: $expected
seen ($code): $seen"; fi
}

exit_code() { "$@" >/dev/null 2>&1; echo $?; }
