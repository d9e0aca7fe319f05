import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { installedRuntimes } from "./bundle.fixture.ts";
import { findRuntimes, parseProgramVersion } from "./runtime.ts";

const cgroupParent = "gt-ctr-trial";
const scratch = () => {
  const execRoot = mkdtempSync(join(tmpdir(), "gt-ctr-"));
  return {
    options: { execRoot, cgroupParent, added: {}, defaultName: undefined },
    [Symbol.dispose]: () => rmSync(execRoot, { recursive: true }),
  };
};

test("a real start decides, the outcome is kept, nothing is left", async () => {
  using at = scratch();
  const first = await findRuntimes(at.options);
  assert.ok(installedRuntimes.some(({ name }) => name === first.defaultName));
  assert.equal(first.get("").name, first.defaultName);
  assert.equal(first.get("io.containerd.runc.v2").name, first.defaultName);
  assert.deepEqual(first.names, installedRuntimes.map(({ name }) => name).sort());
  for (const { version } of first.versions) assert.match(version, /^\d+\.\d+/);
  const kept = join(at.options.execRoot, "runtimes.json");
  utimesSync(kept, 1, 1);
  const second = await findRuntimes(at.options);
  assert.equal(second.defaultName, first.defaultName);
  assert.equal(statSync(kept).mtimeMs, 1000, "the second time tries nothing");
  assert.deepEqual(readdirSync(at.options.execRoot), ["runtimes.json"]);
  for (const controller of readdirSync("/sys/fs/cgroup"))
    assert.ok(!existsSync(`/sys/fs/cgroup/${controller}/${cgroupParent}`), controller);
});

test("a runtime that refuses this host is passed over, with its reason", async () => {
  using at = scratch();
  const broken = join(at.options.execRoot, "broken");
  writeFileSync(
    broken,
    "#!/bin/sh\n[ \"$1\" = --version ] && echo broken version 9.9 || { echo 'cgroups in hybrid mode not supported' >&2; exit 1; }\n",
    { mode: 0o755 },
  );
  const added = { broken: { path: broken } };
  const runtimes = await findRuntimes({ ...at.options, added, defaultName: "broken" });
  assert.match(runtimes.warnings.join(), /broken does not work on this host: cgroups in hybrid mode/);
  assert.equal(runtimes.get("broken").path, broken);
  const cached = JSON.parse(readFileSync(join(at.options.execRoot, "runtimes.json"), "utf8")) as object;
  assert.ok(broken in cached);
});

test("unknown names and programs", async () => {
  using at = scratch();
  const runtimes = await findRuntimes(at.options);
  assert.throws(
    () => runtimes.get("nope"),
    (error) => isKind(error, "invalidArgument") && error.message === "unknown or invalid runtime name: nope",
  );
  const withGhost = await findRuntimes({ ...at.options, added: { ghost: { path: "/no/such" } } });
  assert.throws(() => withGhost.get("ghost"), /runtime ghost cannot be used: there is no program \/no\/such/);
  assert.match(withGhost.warnings.join(), /runtime ghost is not there/);
  await assert.rejects(findRuntimes({ ...at.options, defaultName: "nope" }), /specified default runtime/);
});

test("versions are read out of what programs print", () => {
  const table: [string, string, string][] = [
    ["crun version 1.8.1\ncommit: f8a096be\nrundir: /run/crun\n", "1.8.1", "f8a096be"],
    ["runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\n", "1.1.5+ds1", "1.1.5+ds1-1+deb12u1"],
    ["conmon version 2.1.6\ncommit: unknown\n", "2.1.6", ""],
  ];
  for (const [output, version, commit] of table)
    assert.deepEqual(parseProgramVersion("x", output), { name: "x", version, commit });
});
