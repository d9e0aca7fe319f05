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

  /** METHOD, path, body, then the answer's status and its message, or the whole of it. */
  const table: readonly (readonly [
    target: string,
    body: string | undefined,
    status: number,
    answer: string,
  ])[] = [
    [
      "GET /v1.23/info",
      undefined,
      400,
      "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ],
    ["GET /v1.45/containers/json?limit=x", undefined, 400, 'strconv.Atoi: parsing "x": invalid syntax'],
    ['GET /v1.45/plugins?filters={"bogus":["x"]}', undefined, 400, "invalid filter 'bogus'"],
    ["GET /v1.45/events?since=x", undefined, 400, 'strconv.ParseInt: parsing "x": invalid syntax'],
    [
      "GET /v1.45/networks/bridge?verbose=x",
      undefined,
      400,
      'invalid value for verbose: x: strconv.ParseBool: parsing "x": invalid syntax',
    ],
    ["GET /v1.45/networks/bridge?scope=swarm", undefined, 404, "network bridge not found"],
    ["POST /v1.45/containers/create", "{}", 400, "config cannot be empty in order to create a container"],
    ["POST /v1.45/containers/create", "null", 400, "config cannot be empty in order to create a container"],
    ["POST /v1.45/networks/create", undefined, 400, "invalid name: name is empty"],
    ["POST /v1.45/networks/bridge/connect", undefined, 400, 'invalid name or ID supplied: ""'],
    ["POST /v1.45/networks/bridge/disconnect", "{}", 400, 'invalid name or ID supplied: ""'],
    ["POST /v1.45/commit?container=", undefined, 400, 'invalid name or ID supplied: ""'],
    ["POST /v1.45/containers/it/exec", undefined, 400, "No exec command specified"],
    ["POST /v1.45/containers/it/update", undefined, 200, '{"Warnings":null}\n'],
    ["POST /v1.45/containers/it/update", '{"IOMaximumIOps":1}', 200, '{"Warnings":null}\n'],
    ["POST /v1.29/containers/it/wait?condition=x", undefined, 200, '{"StatusCode":0}\n'],
    ["POST /v1.45/containers/it/wait?condition=x", undefined, 400, 'invalid condition: "x"'],
    ["POST /v1.45/containers/it/attach?stream=1", undefined, 200, ""],
    ["POST /v1.45/volumes/prune", undefined, 200, '{"VolumesDeleted":[],"SpaceReclaimed":0}\n'],
    [
      "POST /v1.45/containers/create",
      '{"Image":"x","HostConfig":{"Memory":-1}}',
      400,
      "Minimum memory limit allowed is 6MB",
    ],
  ];

  test("what clients of other makes send, and what they are told", async () => {
    await ok(`run --name it ${busybox} true`);
    for (const [target, body, status, answer] of table) {
      const got = await askRaw(suite.daemon, target, body);
      assert.deepEqual([target, got.status, got.message], [target, status, answer]);
    }
    const unnamed = await askRaw(suite.daemon, "POST /v1.45/containers/create", "{}", "");
    assert.equal(unnamed.message, "malformed Content-Type header (): mime: no media type");
    assert.equal(
      (await askRaw(suite.daemon, "POST /v1.45/containers/it/attach")).contentType,
      "application/vnd.docker.raw-stream",
    );
  });

  test("a body that names endpoints means these alone, and what it leaves out is null", async () => {
    await ok("network create gt-raw");
    try {
      const body = {
        Image: busybox,
        Cmd: ["ip", "-o", "-4", "addr"],
        WorkingDir: "/tmp/",
        MacAddress: "02:42:ac:11:00:99",
        NetworkingConfig: { EndpointsConfig: { "gt-raw": {} } },
        HostConfig: { PortBindings: { "80/tcp": [{}] }, CpuPercent: 5 },
      };
      const made = await askRaw(suite.daemon, "POST /v1.45/containers/create?name=raw", JSON.stringify(body));
      assert.deepEqual((JSON.parse(made.message) as { Warnings: string[] }).Warnings, [
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
        "linux does not support CPU percent. Percent discarded.",
      ]);
      const shown = (await json("GET /v1.45/containers/raw/json")) as Record<string, Record<string, unknown>>;
      assert.deepEqual(Object.keys(shown["NetworkSettings"]!["Networks"] as object), ["gt-raw"]);
      assert.equal(shown["Config"]!["WorkingDir"], "/tmp");
      const { Dns, Devices, Ulimits, PortBindings } = shown["HostConfig"]!;
      assert.deepEqual([Dns, Devices, Ulimits], [null, null, null]);
      assert.deepEqual(PortBindings, { "80/tcp": [{ HostIp: "", HostPort: "" }] });
      const addresses = await ok("start -a raw");
      assert.equal(addresses.match(/^\d+: eth/gm)?.length, 1, addresses);
      const refused = { Image: busybox, HostConfig: { IOMaximumIOps: 1 } };
      assert.match(
        (await askRaw(suite.daemon, "POST /v1.45/containers/create", JSON.stringify(refused))).message,
        /^Invalid QoS settings/,
      );
    } finally {
      await ok("rm -f raw");
      await ok("network rm gt-raw");
    }
  });

  test("statistics have all counters of version 1, and no single one before 1.41", async (context) => {
    await ok(`run -d --name it -m 64m ${busybox} sleep 100`);
    const stats = async (minor: number): Promise<Record<string, Record<string, unknown>>> =>
      (await json(`GET /v1.${minor}/containers/it/stats?stream=0&one-shot=1`)) as never;
    assert.equal((await stats(41))["precpu_stats"]!["system_cpu_usage"], undefined);
    const old = await stats(40);
    assert.equal(typeof old["precpu_stats"]!["system_cpu_usage"], "number");
    const isOne = (await ok("info -f {{.CgroupVersion}}")) === "1";
    if (!isOne) return context.skip("version 2 has other counters");
    assert.deepEqual(old["blkio_stats"]!["io_queue_recursive"], []);
    const { hierarchical_memory_limit: limit } = old["memory_stats"]!["stats"] as Record<string, number>;
    assert.equal(limit, 64 << 20);
    return undefined;
  });
});
