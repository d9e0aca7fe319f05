import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerInspect, ContainerSummary, EndpointSettings } from "../wire/container.ts";
import type { ImageInspect, ImageSummary } from "../wire/image.ts";
import type { NetworkInspect } from "../wire/network.ts";
import * as shape from "./shape.ts";

const endpoint: EndpointSettings = {
  IPAMConfig: null,
  Links: null,
  Aliases: ["web"],
  MacAddress: "02:42:0a:d2:00:02",
  DriverOpts: null,
  GwPriority: 0,
  NetworkID: "net",
  EndpointID: "end",
  Gateway: "10.210.0.1",
  IPAddress: "10.210.0.2",
  IPPrefixLen: 16,
  IPv6Gateway: "",
  GlobalIPv6Address: "",
  GlobalIPv6PrefixLen: 0,
  DNSNames: ["web"],
};
const id = "0123456789abcdef".repeat(4);

const container = {
  Id: id,
  HostConfig: { Annotations: { a: "b" }, Memory: 0 },
  Config: {},
  GraphDriver: { Name: "vfs", Data: null },
  NetworkSettings: {
    SandboxID: "box",
    SandboxKey: "/key",
    Ports: {},
    Networks: { bridge: endpoint },
  },
} as unknown as ContainerInspect;

type Shaped = {
  HostConfig: Record<string, unknown>;
  NetworkSettings: Record<string, unknown> & { Networks: Record<string, Record<string, unknown>> };
};
const inspect = (apiMinor: number): Shaped => shape.shapeContainerInspect(container, apiMinor) as Shaped;

test("container inspect: what a version has and has not", () => {
  const has: readonly [what: string, is: (minor: number) => boolean, from: number, before: number][] = [
    ["IPAddress beside Networks", (v) => inspect(v).NetworkSettings["IPAddress"] === "10.210.0.2", 24, 52],
    ["SecondaryIPAddresses", (v) => inspect(v).NetworkSettings["SecondaryIPAddresses"] === null, 24, 52],
    ["SandboxKey", (v) => inspect(v).NetworkSettings["SandboxKey"] === "/key", 24, 99],
    ["Annotations", (v) => "Annotations" in inspect(v).HostConfig, 43, 99],
    ["KernelMemory", (v) => "KernelMemory" in inspect(v).HostConfig, 24, 42],
    ["DNSNames", (v) => "DNSNames" in inspect(v).NetworkSettings.Networks["bridge"]!, 44, 99],
    ["GwPriority", (v) => "GwPriority" in inspect(v).NetworkSettings.Networks["bridge"]!, 48, 99],
    [
      "short id among the aliases",
      (v) => (inspect(v).NetworkSettings.Networks["bridge"]!["Aliases"] as string[]).includes("0123456789ab"),
      24,
      45,
    ],
  ];
  for (const [what, is, from, before] of has) {
    for (let minor = 24; minor <= 55; minor++) {
      assert.equal(is(minor), minor >= from && minor < before, `${what} in 1.${minor}`);
    }
  }
  assert.deepEqual(Object.keys(inspect(52).NetworkSettings), [
    "SandboxID",
    "SandboxKey",
    "Ports",
    "Networks",
  ]);
});

test("container inspect: addresses beside Networks are the default bridge's only", () => {
  const settings = { ...container.NetworkSettings, Networks: { mine: endpoint } };
  const { NetworkSettings } = shape.shapeContainerInspect(
    { ...container, NetworkSettings: settings },
    41,
  ) as Shaped;
  assert.deepEqual([NetworkSettings["IPAddress"], NetworkSettings["IPPrefixLen"]], ["", 0]);
});

test("container list keeps its own words and follows the endpoints' versions", () => {
  const summary = {
    Id: id,
    Labels: {},
    NetworkSettings: { Networks: { bridge: endpoint } },
  } as unknown as ContainerSummary;
  const shaped = shape.shapeContainerSummary(summary, 41) as {
    NetworkSettings: { Networks: { bridge: object } };
  };
  assert.ok(!("DNSNames" in shaped.NetworkSettings.Networks.bridge));
  assert.deepEqual(shape.shapeContainerSummary(summary, 55), summary);
});

/** The keys of an object as they come, and those of what is in it under their path. */
function keysOf(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    `${path}${key}`,
    ...keysOf(inner, `${path}${key}.`),
  ]);
}

test("fields come in the order of Docker's structures, keys of maps are sorted", () => {
  const given = {
    NetworkSettings: {
      SandboxKey: "",
      SandboxID: "",
      Ports: { "9/tcp": null, "10/udp": null },
      Networks: { web: endpoint, back: endpoint },
    },
    Config: { Shell: ["sh"], Labels: { b: "", a: "" }, Cmd: ["x"], Env: [], ExposedPorts: {}, Hostname: "h" },
    HostConfig: {
      Init: true,
      Memory: 0,
      Sysctls: { "net.b": "1", "net.a": "1" },
      Runtime: "crun",
      LogConfig: { Config: { tag: "", "max-size": "1" }, Type: "local" },
      Mounts: [{ Target: "/t", Type: "tmpfs" }],
      Binds: null,
    },
    GraphDriver: { Name: "x", Data: { WorkDir: "", UpperDir: "" } },
    Mounts: [],
    State: {},
    Id: id,
  } as unknown as ContainerInspect;
  const shaped = shape.shapeContainerInspect(given, 52) as Record<string, Record<string, unknown>>;
  assert.deepEqual(
    keysOf(shaped).filter((key) => !/^NetworkSettings\.Networks\../.test(key) || key.split(".").length === 3),
    words(`
      Id State HostConfig HostConfig.Binds HostConfig.LogConfig HostConfig.LogConfig.Type HostConfig.LogConfig.Config
      HostConfig.LogConfig.Config.max-size HostConfig.LogConfig.Config.tag HostConfig.Sysctls HostConfig.Sysctls.net.a
      HostConfig.Sysctls.net.b HostConfig.Runtime HostConfig.Memory HostConfig.Mounts HostConfig.Init
      GraphDriver GraphDriver.Name GraphDriver.Data GraphDriver.Data.UpperDir GraphDriver.Data.WorkDir Mounts
      Config Config.Hostname Config.ExposedPorts Config.Env Config.Cmd Config.Labels Config.Labels.a Config.Labels.b
      Config.Shell NetworkSettings NetworkSettings.SandboxID NetworkSettings.SandboxKey NetworkSettings.Ports
      NetworkSettings.Ports.10/udp NetworkSettings.Ports.9/tcp NetworkSettings.Networks NetworkSettings.Networks.back
      NetworkSettings.Networks.web`),
  );
  assert.deepEqual(Object.keys((shaped["HostConfig"]!["Mounts"] as object[])[0]!), ["Type", "Target"]);
  const image45 = shape.shapeImageInspect({ ...image, Parent: "", DockerVersion: "" }, 45);
  assert.deepEqual(
    Object.keys(image45),
    words(`Id RepoTags RepoDigests Parent Comment DockerVersion Author Config Architecture Os Size GraphDriver RootFS
      Metadata`),
  );
  assert.deepEqual(
    Object.keys(shape.shapeInfo({ Warnings: [], NCPU: 1, ID: "" }, 50)),
    words("ID NCPU Warnings"),
  );
});

const words = (text: string): string[] => text.trim().split(/\s+/);

test("the list of networks tells who is connected before 1.28, and has the field until 1.52", () => {
  const network = { Name: "n", Containers: { c: {} } } as unknown as NetworkInspect;
  const at = (minor: number): unknown => shape.shapeListedNetwork(network, minor)["Containers"];
  assert.deepEqual([at(27), at(28), at(51), at(52)], [{ c: {} }, {}, {}, undefined]);
});

test("the list of containers leaves sizes out that are 0", () => {
  const summary = {
    Id: id,
    SizeRw: 0,
    SizeRootFs: 7,
    Labels: {},
    NetworkSettings: { Networks: {} },
  } as unknown as ContainerSummary;
  assert.deepEqual(
    Object.keys(shape.shapeContainerSummary(summary, 45)),
    words("Id SizeRootFs Labels NetworkSettings"),
  );
});

test("info before 1.25 tells an option by its name alone", () => {
  const info = { SecurityOptions: ["name=seccomp,profile=builtin", "name=userns"] };
  assert.deepEqual(shape.shapeInfo(info, 24)["SecurityOptions"], ["seccomp", "userns"]);
  assert.deepEqual(shape.shapeInfo(info, 25)["SecurityOptions"], info.SecurityOptions);
});

const image: ImageInspect = {
  Id: "sha256:1",
  RepoTags: ["a:1"],
  RepoDigests: [],
  Comment: "",
  Author: "me",
  Config: { Cmd: ["sh"], Env: [], WorkingDir: "", Labels: null },
  Architecture: "amd64",
  Os: "linux",
  Size: 5,
  GraphDriver: { Name: "overlay2", Data: null },
  RootFS: { Type: "layers", Layers: [] },
  Metadata: { LastTagTime: "" },
};

test("image inspect", () => {
  const at = (minor: number): Record<string, unknown> & { Config: object } =>
    shape.shapeImageInspect(image, minor) as Record<string, unknown> & { Config: object };
  assert.deepEqual(at(52).Config, { Cmd: ["sh"] });
  assert.deepEqual(["Author" in at(52), "Comment" in at(52), "Parent" in at(52)], [true, false, false]);
  assert.deepEqual([at(51)["Parent"], at(51)["DockerVersion"], at(51)["Comment"]], ["", "", ""]);
  assert.deepEqual(at(51).Config, {
    User: "",
    Env: [],
    Cmd: ["sh"],
    Volumes: null,
    WorkingDir: "",
    Entrypoint: null,
    OnBuild: null,
    Labels: null,
  });
  assert.deepEqual(["Tty" in at(50).Config, "Tty" in at(49).Config], [false, true]);
  assert.deepEqual(["ContainerConfig" in at(45), "ContainerConfig" in at(44)], [false, true]);
  assert.deepEqual([at(44)["VirtualSize"], at(43)["VirtualSize"]], [undefined, 5]);
});

test("image list", () => {
  const summary: ImageSummary = {
    Id: "sha256:1",
    ParentId: "",
    RepoTags: [],
    RepoDigests: [],
    Created: 0,
    Size: 5,
    SharedSize: -1,
    Labels: null,
    Containers: 2,
  };
  assert.deepEqual(shape.shapeImageSummary(summary, 51), summary);
  assert.deepEqual(shape.shapeImageSummary(summary, 50), { ...summary, Containers: -1 });
  assert.deepEqual(shape.shapeImageSummary(summary, 42), {
    ...summary,
    Containers: -1,
    VirtualSize: 5,
    RepoTags: ["<none>:<none>"],
    RepoDigests: ["<none>@<none>"],
  });
});

test("info", () => {
  const info = { ID: "x", RuncCommit: { ID: "c" } };
  assert.deepEqual(shape.shapeInfo(info, 50), { ID: "x", RuncCommit: { ID: "c" } });
  assert.deepEqual(shape.shapeInfo(info, 48), {
    BridgeNfIptables: false,
    BridgeNfIp6tables: false,
    ID: "x",
    RuncCommit: { ID: "c", Expected: "c" },
  });
  assert.ok("KernelMemory" in shape.shapeInfo(info, 41));
});

test("events of networks and volumes never had an id at the top", () => {
  const event = {
    Type: "volume",
    Action: "create",
    Actor: { ID: "v", Attributes: {} },
    scope: "local",
    time: 1,
    timeNano: 1,
  } as const;
  assert.deepEqual(shape.shapeEvent(event, 41), event);
  const tagged = { ...event, Type: "image", Action: "tag" };
  assert.deepEqual(shape.shapeEvent(tagged, 41), { status: "tag", id: "v", ...tagged });
});

test("create: what a version does not know is dropped", () => {
  const request = {
    Healthcheck: { Test: ["NONE"], StartInterval: 1 },
    HostConfig: {
      ConsoleSize: [24, 80] as [number, number],
      Annotations: { a: "b" },
      Mounts: [
        { Type: "bind", ReadOnly: true },
        { Type: "volume", ReadOnly: true },
      ],
    },
  };
  assert.deepEqual(shape.shapeCreateRequest(request, 44), request);
  assert.deepEqual(shape.shapeCreateRequest(request, 39), {
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      IpcMode: "shareable",
      CgroupnsMode: "host",
      Mounts: [
        { Type: "bind", ReadOnly: true, BindOptions: { ReadOnlyNonRecursive: true } },
        { Type: "volume", ReadOnly: true },
      ],
    },
  });
  assert.deepEqual(shape.shapeExecRequest({ ConsoleSize: [1, 2], Tty: true }, 41), { Tty: true });
});
