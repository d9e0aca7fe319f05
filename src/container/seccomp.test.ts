import assert from "node:assert/strict";
import { test } from "node:test";
import {
  compileSeccomp,
  customSeccomp,
  defaultSeccomp,
  parseKernelRelease,
  type SeccompProfile,
} from "./seccomp.ts";

function allowed(capabilities: readonly string[]): Set<string> {
  const profile = defaultSeccomp(capabilities);
  assert.equal(profile.defaultAction, "SCMP_ACT_ERRNO");
  return new Set(
    profile.syscalls.filter((rule) => rule.action === "SCMP_ACT_ALLOW").flatMap((rule) => [...rule.names]),
  );
}

test("the default profile opens system calls with the capabilities that need them", () => {
  const plain = allowed(["CAP_CHOWN"]);
  for (const name of ["read", "openat", "execve", "socket"]) assert.ok(plain.has(name), name);
  for (const name of ["mount", "setns", "reboot", "init_module", "bpf", "ptrace_unknown"])
    assert.ok(!plain.has(name), name);
  const admin = allowed(["CAP_SYS_ADMIN"]);
  for (const name of ["mount", "setns", "unshare"]) assert.ok(admin.has(name), name);
  assert.ok(allowed(["CAP_SYS_BOOT"]).has("reboot"));
  assert.equal(defaultSeccomp(["CAP_CHOWN"]), defaultSeccomp(["CAP_CHOWN"]), "compiled once");
});

test("rules are kept by capability, architecture and kernel", () => {
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ERRNO",
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
    syscalls: [
      { names: ["always"], action: "SCMP_ACT_ALLOW" },
      { names: ["with-cap"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_A"] } },
      { names: ["without-cap"], action: "SCMP_ACT_ALLOW", excludes: { caps: ["CAP_A"] } },
      { names: ["arm"], action: "SCMP_ACT_ALLOW", includes: { arches: ["arm64"] } },
      { names: ["new"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
    ],
  };
  const names = (capabilities: string[], kernel: [number, number]): string[] =>
    compileSeccomp(profile, { capabilities, architecture: "amd64", kernel }).syscalls.flatMap((rule) => [
      ...rule.names,
    ]);
  assert.deepEqual(names([], [4, 7]), ["always", "without-cap"]);
  assert.deepEqual(names(["CAP_A"], [4, 8]), ["always", "with-cap", "new"]);
  assert.deepEqual(names([], [5, 0]), ["always", "without-cap", "new"]);
  assert.deepEqual(
    compileSeccomp(profile, { capabilities: [], architecture: "amd64", kernel: [6, 1] }).architectures,
    ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
  );
});

test("a profile that is none is refused with a sentence", () => {
  for (const text of ["{", "[]", "null", "{}", '{"defaultAction": 3}'])
    assert.throws(() => customSeccomp(text, []), /Decoding seccomp profile failed/, text);
});

test("kernel releases", () => {
  assert.deepEqual(parseKernelRelease("6.1.0-13-amd64"), [6, 1]);
  assert.deepEqual(parseKernelRelease("odd"), [0, 0]);
});
