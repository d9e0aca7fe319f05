import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { createNetns, deleteNetns } from "./netns.ts";
import { readSysctl, setSysctlIfThere, writeSysctl } from "./sysctl.ts";

test("settings of a namespace are set and read; one that the kernel has not is told, or passed over", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-sysctl-"));
  const path = join(directory, "ns");
  t.after(() => {
    deleteNetns(path);
    rmSync(directory, { recursive: true, force: true });
  });
  createNetns(path, () => {
    const name = ["net", "ipv4", "conf", "lo", "arp_notify"];
    assert.equal(readSysctl(name), "0");
    setSysctlIfThere(name, "1");
    assert.equal(readSysctl(name), "1");
    assert.deepEqual([writeSysctl(name, "1"), writeSysctl(name, "0")], [false, true]);
    assert.equal(readSysctl(name), "0");
    const missing = "net.ipv4.conf.lo.no_such_setting";
    setSysctlIfThere(missing, "1");
    assert.equal(readSysctl(missing), undefined);
    assert.throws(
      () => writeSysctl(missing, "1"),
      (error) => isKind(error, "notFound"),
    );
    assert.throws(() => setSysctlIfThere(name, "words"), /set .*arp_notify to words/);
  });
});
