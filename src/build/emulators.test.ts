import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { emulationOf, foreignProgram, requireRunnable } from "./emulators.ts";

const entry = (state: string, flags: string, magic: string): string =>
  `${state}\ninterpreter /usr/bin/emulator\nflags: ${flags}\noffset 0\nmagic ${magic}\nmask ffffffffffffff00fffffffffffffffffeffffff\n`;

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-binfmt-"));
  const files = {
    register: "",
    status: "enabled\n",
    // As Debian's qemu-user-static registers them; names say nothing.
    "qemu-aarch64": entry("enabled", "PF", "7f454c460201010000000000000000000200b700"),
    "some-risc": entry("enabled", "OCF", "7f454c460201010000000000000000000200f300"),
    "qemu-s390x": entry("enabled", "P", "7f454c4602020100000000000000000000020016"),
    "qemu-arm": entry("disabled", "F", "7f454c4601010100000000000000000002002800"),
    "python3.11": "enabled\ninterpreter /usr/bin/python3.11\nflags: \noffset 0\nmagic a70d0d0a\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
});
after(() => rmSync(directory, { recursive: true, force: true }));

test("registrations are known by what they take, not by their names", () => {
  const of = (architecture: string): string => emulationOf(architecture, directory);
  assert.deepEqual(["arm64", "riscv64", "s390x", "arm", "ppc64le", "sparc"].map(of), [
    "ready",
    "ready",
    "outside",
    "none",
    "none",
    "none",
  ]);
  assert.equal(emulationOf("arm64", join(directory, "none")), "none");
});

test("a command that is no program here is explained by the image's platform, others are not", () => {
  const of = (architecture: string, ...lines: string[]): string | undefined =>
    foreignProgram({ os: "linux", architecture }, lines, directory)?.why;
  assert.equal(
    of("ppc64le", "exec /bin/sh: exec format error"),
    "the base image is for linux/ppc64le, and no emulator is registered (binfmt_misc has no qemu-ppc64le)",
  );
  assert.match(of("s390x", "exec container process `/bin/sh`: Exec format error") ?? "", /lacks the flag F/);
  assert.equal(of("riscv64", "exec /bin/sh: exec format error"), undefined);
  assert.equal(of("ppc64le", "exec format error", "make: failed"), undefined);
  assert.equal(foreignProgram(undefined, ["exec format error"], directory), undefined);
});

test("what cannot run is refused with what is missing", () => {
  const platform = (architecture: string): { os: string; architecture: string } => ({
    os: "linux",
    architecture,
  });
  requireRunnable(platform("riscv64"), "RUN true", directory);
  assert.throws(() => requireRunnable(platform("ppc64le"), "RUN true", directory), {
    message:
      /^RUN true needs programs for linux\/ppc64le to run on linux\/\w+, and no emulator is registered \(binfmt_misc has no qemu-ppc64le\)$/,
  });
  assert.throws(
    () => requireRunnable(platform("s390x"), "RUN true", directory),
    /qemu-s390x lacks the flag F/,
  );
});
