/** Devices that files of the Container Device Interface describe (`--device vendor/class=name`, `--gpus`). */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("devices by CDI", () => {
  const directory = `/tmp/gantry-test-cdi-${process.pid}`;
  const suite = useDaemon({ flags: ["--cdi-spec-dir", directory] });

  test("--device and --gpus give nodes, mounts, environment and groups", async () => {
    const { daemon } = suite;
    await mkdir(directory, { recursive: true });
    try {
      await writeFile(join(directory, "words"), "from the host\n");
      const edits = {
        env: ["CARD=zero"],
        deviceNodes: [{ path: "/dev/card0", type: "c", major: 1, minor: 3, fileMode: 0o640, gid: 44 }],
        mounts: [
          { hostPath: join(directory, "words"), containerPath: "/card/words", options: ["ro", "bind"] },
        ],
        additionalGids: [44],
      };
      const spec = {
        cdiVersion: "0.6.0",
        kind: "example.com/gpu",
        devices: [{ name: "0", containerEdits: edits }],
      };
      await writeFile(join(directory, "gpu.json"), JSON.stringify(spec));
      const script =
        "echo $CARD; cat /card/words; ls -l /dev/card0 | awk '{print $1, $4, $5 $6}'; id -G | tr ' ' '\\n' | grep 44; echo x > /dev/card0";
      for (const flags of [
        ["--device", "example.com/gpu=0"],
        ["--gpus", "all"],
        ["--gpus", "1"],
        ["--gpus", "device=0"],
      ])
        assert.equal(
          await daemon.dockerOk(["run", "--rm", ...flags, busybox, "sh", "-c", script]),
          "zero\nfrom the host\ncrw-r----- 44 1,3\n44",
          flags.join(" "),
        );
    } finally {
      await daemon.host.run(["rm", "-r", directory]);
    }
  });
});
