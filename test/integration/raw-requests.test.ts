/** Raw requests, as dockerd 26.1 answers them: what the docker command line never sends, but other clients do. */
import assert from "node:assert/strict";
import { hostname } from "node:os";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { askRaw } from "../helpers/raw-request.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("raw requests", { skip: flavour === "docker" && "20.10 has other words" }, () => {
  const suite = useDaemon();
  const ok = (line: string): Promise<string> => suite.daemon.dockerOk(line.split(" "));
  const json = async (target: string): Promise<Record<string, unknown>> =>
    JSON.parse((await askRaw(suite.daemon, target)).message) as Record<string, unknown>;

  test("with the host's network a container has the host's name, and an endpoint", async () => {
    const id = await ok(`run -d --network host ${busybox} sleep 100`);
    const shown = await ok(
      `inspect -f {{.Config.Hostname}}/{{.NetworkSettings.Networks.host.EndpointID}} ${id}`,
    );
    const [name, endpoint = ""] = shown.split("/");
    assert.equal(name, hostname());
    assert.match(endpoint, /^[0-9a-f]{64}$/);
    assert.equal(await ok("network inspect -f {{range.Containers}}{{.EndpointID}}{{end}} host"), endpoint);
    const listed = (await json("GET /v1.27/networks")) as unknown as Record<string, unknown>[];
    const host = listed.find(({ Name }) => Name === "host");
    assert.deepEqual(Object.keys(host?.["Containers"] as object), [id]);
    assert.deepEqual(host?.["IPAM"], { Driver: "default", Options: null, Config: null });
    await ok(`kill ${id}`);
    assert.equal(await ok(`inspect -f {{.NetworkSettings.Networks.host.EndpointID}} ${id}`), "");
  });
});
