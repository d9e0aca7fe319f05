/** `docker system df`. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("system df", () => {
  const suite = useDaemon();
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const format = "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}";

  test("counts images, containers and volumes, and what could be had back", async () => {
    await ok("run", "--name", "ended", busybox, "sh", "-c", "head -c 5000 /dev/zero >/file");
    await ok(
      "run",
      "-d",
      "--name",
      "runs",
      "-v",
      "data:/data",
      busybox,
      "sh",
      "-c",
      "head -c 3000 /dev/zero >/data/x; sleep 100",
    );
    await ok("exec", "runs", "sh", "-c", "until test -s /data/x; do :; done");
    const outputs = [await ok("system", "df", "--format", format)];
    if (flavour === "gantry")
      outputs.push((await suite.daemon.gantry(["system", "df", "--format", format])).stdout.trim());
    for (const output of outputs) {
      const [images = "", containers = "", volumes = "", cache = ""] = output.split("\n");
      assert.match(images, /^Images\|1\|1\|[\d.]+MB\|0B \(0%\)$/);
      assert.match(containers, /^Containers\|2\|1\|5kB\|5kB \(100%\)$/);
      assert.match(volumes, /^Local Volumes\|1\|1\|3kB\|0B \(0%\)$/);
      assert.match(cache, /^Build Cache\|0\|0\|0B\|0B$/);
    }
    await ok("rm", "-f", "runs");
    assert.match(
      (await ok("system", "df", "--format", format)).split("\n")[2] ?? "",
      /^Local Volumes\|1\|0\|3kB\|3kB \(100%\)$/,
    );
    await ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "elsewhere");
    assert.match(
      (await ok("system", "df", "--format", format)).split("\n")[2] ?? "",
      /^Local Volumes\|1\|0\|/,
    );
    await ok("volume", "rm", "elsewhere");
    await ok("system", "df", "-v");
    await ok("volume", "rm", "data");
  });

  test("the API: types, and the fields of both ages", async (context) => {
    if (flavour === "docker") return context.skip("20.10 knows neither");
    const ask = (path: string): Promise<Record<string, unknown>> => getJson(suite.daemon.socket, path);
    assert.deepEqual(await ask("/v1.45/system/df?type=volume"), {
      LayersSize: 0,
      Images: null,
      Containers: null,
      Volumes: [],
      BuildCache: null,
    });
    assert.equal((await ask("/v1.45/system/df?type="))["message"], "unknown object type: ");
    const old = (await ask("/v1.42/system/df"))["Images"] as Record<string, unknown>[];
    assert.deepEqual([old.length, old[0]?.["VirtualSize"], old[0]?.["Containers"]], [1, old[0]?.["Size"], 0]);
    assert.deepEqual(Object.keys(await ask("/v1.55/system/df?type=image")), ["ImageUsage"]);
    assert.match(
      String((await ask("/v1.45/system/df?type=nonsense"))["message"]),
      /unknown object type: nonsense/,
    );
    return undefined;
  });
});

function getJson(socketPath: string, path: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path }, (response) => {
      text(response).then((body) => resolve(JSON.parse(body) as Record<string, unknown>), reject);
    });
    asking.on("error", reject).end();
  });
}
