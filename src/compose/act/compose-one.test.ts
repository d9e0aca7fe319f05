import { equal } from "node:assert/strict";
import { describe, it } from "node:test";
import type { ContainerInspect, EndpointSettings, HostConfig, MountPoint } from "../../wire/container.ts";
import type { ImageInspect } from "../../wire/image.ts";
import { emptyProject, type Service } from "../model/project.ts";
import type { DaemonDefaults } from "./compose-one-host.ts";
import { isAsWanted } from "./compose-one.ts";

const daemon: DaemonDefaults = {
  runtime: "runc",
  logDriver: "json-file",
  hasSwapLimit: true,
  hostName: "server",
};
const id = "0123456789ab".padEnd(64, "c");
const noName = "f".repeat(64);

const image = {
  Id: "sha256:one",
  Config: { Cmd: ["serve"], Env: ["PATH=/bin"], Volumes: { "/store": {} } },
} as unknown as ImageInspect;

const volume = (target: string, name: string, more: Partial<MountPoint> = {}): MountPoint => ({
  Type: "volume",
  Name: name,
  Source: `/volumes/${name}/_data`,
  Destination: target,
  Mode: "rw",
  RW: true,
  Propagation: "",
  ...more,
});

const bind = (more: Partial<MountPoint> = {}): MountPoint => ({
  Type: "bind",
  Source: "/src",
  Destination: "/src",
  Mode: "rw",
  RW: true,
  Propagation: "rprivate",
  ...more,
});

interface Change {
  readonly host?: HostConfig;
  readonly config?: ContainerInspect["Config"];
  readonly mounts?: readonly MountPoint[];
  readonly networks?: Record<string, EndpointSettings>;
}

const endpoint: EndpointSettings = { Aliases: [id.slice(0, 12), "web"], MacAddress: "02:42:ac:11:00:02" };

/** A container as Docker Compose 1 leaves it for a service that says nothing but its image; `change` is what differs. */
function found({ host, config, mounts, networks }: Change): ContainerInspect {
  return {
    Id: id,
    Image: image.Id,
    Config: {
      Hostname: id.slice(0, 12),
      Cmd: ["serve"],
      Env: ["PATH=/bin"],
      Labels: { "com.docker.compose.version": "1.29.2" },
      Volumes: { "/store": {} },
      ...config,
    },
    HostConfig: {
      Binds: [],
      NetworkMode: "shop_default",
      RestartPolicy: { Name: "", MaximumRetryCount: 0 },
      LogConfig: { Type: "json-file", Config: {} },
      IpcMode: "private",
      CgroupnsMode: "private",
      ShmSize: 67_108_864,
      Runtime: "runc",
      MemorySwap: 0,
      MemorySwappiness: null,
      OomKillDisable: false,
      PidsLimit: null,
      ConsoleSize: [0, 0],
      Isolation: "",
      MaskedPaths: ["/proc/keys"],
      ReadonlyPaths: ["/proc/bus"],
      ...host,
    },
    Mounts: [volume("/store", noName, { Mode: "" }), ...(mounts ?? [])],
    NetworkSettings: { Networks: networks ?? { shop_default: endpoint } },
  } as unknown as ContainerInspect;
}

const project = {
  ...emptyProject("shop"),
  directory: "/shop",
  networks: { default: { name: "shop_default" } },
  volumes: { data: { name: "shop_data" } },
};

function judge(service: Service, container: ContainerInspect, of: DaemonDefaults = daemon): boolean {
  const plan = {
    project,
    name: "web",
    service: { image: "image", networks: { default: null }, ...service } as Service,
    number: 1,
    containerName: "shop_web_1",
    image,
    links: [],
    useAliases: true,
    allNetworks: true,
  };
  return isAsWanted(plan, container, of);
}

/** With a network mode a service has no networks. */
const mode = (name: string): Service => ({ network_mode: name, networks: undefined });
const srcVolume = { type: "bind", source: "/src", target: "/src", bind: { create_host_path: true } };
const withVolumes = (...volumes: object[]): Service => ({ volumes }) as unknown as Service;

const sizedTmpfs = (size: number): Service => withVolumes({ type: "tmpfs", target: "/t", tmpfs: { size } });
const tmpfsOf = (size: number | undefined): Change => ({
  host: {
    Mounts: [
      { Type: "tmpfs", Target: "/t", ...(size === undefined ? {} : { TmpfsOptions: { SizeBytes: size } }) },
    ],
  },
  mounts: [bind({ Type: "tmpfs", Source: "", Destination: "/t", Mode: "", Propagation: "" })],
});

describe("isAsWanted", () => {
  it("is true of what says nothing, and false of another image's", () => {
    equal(judge({}, found({})), true);
    equal(judge({}, { ...found({}), Image: "sha256:other" }), false);
  });

  // What the daemon shows of a setting, and the service that asks for it: the same with it, another without it.
  const settings: readonly (readonly [HostConfig, Service])[] = [
    [{ IpcMode: "host" }, { ipc: "host" }],
    [{ IpcMode: "host", SecurityOpt: ["label=disable"] }, { ipc: "host" }],
    [{ IpcMode: "shareable" }, { ipc: "shareable" }],
    [{ ShmSize: 1 << 27 }, { shm_size: 1 << 27 }],
    [{ PidsLimit: 50 }, { pids_limit: 50 }],
    [{ Memory: 1024, MemorySwap: 2048 }, { mem_limit: 1024 }],
    [
      { Memory: 1024, MemorySwap: 4096 },
      { mem_limit: 1024, memswap_limit: 4096 },
    ],
    [{ MemorySwap: -1 }, { memswap_limit: -1 }],
    [{ MemorySwappiness: 0 }, { mem_swappiness: 0 }],
    [{ CpuQuota: 5000 }, { cpu_quota: 5000 }],
    [{ CpuPeriod: 5000 }, { cpu_period: 5000 }],
    [{ CpusetCpus: "0" }, { cpuset: "0" }],
    [{ Runtime: "crun" }, { runtime: "crun" }],
    [{ OomScoreAdj: 100 }, { oom_score_adj: 100 }],
    [{ OomKillDisable: true }, { oom_kill_disable: true }],
    [{ CgroupParent: "some" }, { cgroup_parent: "some" }],
    [{ UTSMode: "host" }, { uts: "host" }],
    [{ DnsOptions: ["rotate"] }, { dns_opt: ["rotate"] }],
    [{ DeviceCgroupRules: ["c 1:3 r"] }, { device_cgroup_rules: ["c 1:3 r"] }],
    [{ VolumeDriver: "other" }, { volume_driver: "other" }],
    [{ StorageOpt: { size: "1G" } }, { storage_opt: { size: "1G" } }],
    [{ Init: true }, { init: true }],
    [{ Init: false }, { init: false }],
    [{ CapAdd: ["CAP_NET_ADMIN"] }, { cap_add: ["NET_ADMIN"] }],
    [{ CapDrop: ["ALL"] }, { cap_drop: ["ALL"] }],
    [{ Privileged: true, SecurityOpt: ["label=disable"] }, { privileged: true }],
    [{ PidMode: "host", SecurityOpt: ["label=disable"] }, { pid: "host" }],
    [{ SecurityOpt: ["no-new-privileges"] }, { security_opt: ["no-new-privileges"] }],
    [{ LogConfig: { Type: "syslog", Config: {} } }, { logging: { driver: "syslog" } }],
    [
      { LogConfig: { Type: "json-file", Config: { "max-file": "2" } } },
      { logging: { options: { "max-file": "2" } } },
    ],
    [{ RestartPolicy: { Name: "always", MaximumRetryCount: 0 } }, { restart: "always" }],
    [{ Sysctls: { a: "1" } }, { sysctls: { a: "1" } }],
    [{ Tmpfs: { "/run": "" } }, { tmpfs: ["/run"] }],
    [{ ReadonlyRootfs: true }, { read_only: true }],
  ] as readonly (readonly [HostConfig, Service])[];
  for (const [host, service] of settings) {
    it(`sees ${JSON.stringify(service)} come and go`, () => {
      equal(judge(service, found({ host })), true);
      equal(judge({}, found({ host })), false, "taken out of the file");
      equal(judge(service, found({})), false, "put into the file");
    });
  }

  it("takes a setting that it does not know for one that was taken away", () => {
    equal(judge({}, found({ host: { Tomorrow: "" } as HostConfig })), true);
    equal(judge({}, found({ host: { Tomorrow: "some" } as HostConfig })), false);
  });

  it("expects no swap where the kernel has no limit of it", () => {
    const host = { Memory: 1024, MemorySwap: -1 };
    const wanted = { mem_limit: 1024 } as unknown as Service;
    equal(judge(wanted, found({ host })), false);
    equal(judge(wanted, found({ host }), { ...daemon, hasSwapLimit: false }), true);
  });

  const bridge = { networks: { bridge: {} }, host: { NetworkMode: "bridge" } };
  const onHost = { networks: { host: {} }, host: { NetworkMode: "host" } };
  const rows: readonly (readonly [what: string, service: Service, change: Change, isSame: boolean])[] = [
    // The name that a container calls itself.
    ["gantry's host network", mode("host"), { ...onHost, config: { Hostname: "" } }, true],
    ["Docker's host network", mode("host"), { ...onHost, config: { Hostname: "server" } }, true],
    ["a name taken away on the host's", mode("host"), { ...onHost, config: { Hostname: "me" } }, false],
    [
      "a name on the host's",
      { ...mode("host"), hostname: "me" },
      { ...onHost, config: { Hostname: "me" } },
      true,
    ],
    [
      "another name on the host's",
      { ...mode("host"), hostname: "you" },
      { ...onHost, config: { Hostname: "me" } },
      false,
    ],
    ["a name", { hostname: "me" }, { config: { Hostname: "me" } }, true],
    ["a name taken away", {}, { config: { Hostname: "me" } }, false],
    [
      "another's network, whose name Docker writes",
      mode("container:other"),
      { networks: {}, host: { NetworkMode: "container:other" }, config: { Hostname: "other" } },
      true,
    ],
    // Networks.
    ["the bridge", mode("bridge"), bridge, true],
    ["the bridge and one more", mode("bridge"), { ...bridge, networks: { bridge: {}, more: {} } }, false],
    ["disconnected from the bridge", mode("bridge"), { ...bridge, networks: {} }, false],
    ["one network more", {}, { networks: { shop_default: endpoint, more: {} } }, false],
    ["disconnected", {}, { networks: {} }, false],
    ["another alias", {}, { networks: { shop_default: { Aliases: ["web", "old"] } } }, false],
    [
      "an alias that looks like an id",
      {},
      { networks: { shop_default: { Aliases: ["web", "ffffffffffff"] } } },
      false,
    ],
    [
      "an address taken away",
      {},
      { networks: { shop_default: { ...endpoint, IPAMConfig: { IPv4Address: "10.0.0.9" } } } },
      false,
    ],
    ["a hardware address taken away", {}, { config: { MacAddress: "02:42:00:00:00:01" } }, false],
    // Mounts.
    ["an anonymous volume that is carried over", {}, { host: { Binds: [`${noName}:/store:rw`] } }, true],
    ["a volume that is taken away", {}, { mounts: [volume("/data", "shop_data")] }, false],
    ["an anonymous one that is taken away", {}, { mounts: [volume("/data", noName)] }, false],
    ["a bind", withVolumes(srcVolume), { mounts: [bind()] }, true],
    ["a bind that is taken away", {}, { mounts: [bind()] }, false],
    ["read only no more", withVolumes(srcVolume), { mounts: [bind({ Mode: "ro", RW: false })] }, false],
    ["a label no more", withVolumes(srcVolume), { mounts: [bind({ Mode: "rw,z" })] }, false],
    [
      "propagation no more",
      withVolumes(srcVolume),
      { mounts: [bind({ Mode: "rslave", Propagation: "rslave" })] },
      false,
    ],
    [
      "a label",
      withVolumes({ ...srcVolume, bind: { ...srcVolume.bind, selinux: "z" } }),
      { mounts: [bind({ Mode: "z" })] },
      true,
    ],
    [
      "a label that is put into the file",
      withVolumes({ ...srcVolume, bind: { ...srcVolume.bind, selinux: "z" } }),
      { mounts: [bind()] },
      false,
    ],
    [
      "another label",
      withVolumes({ ...srcVolume, bind: { ...srcVolume.bind, selinux: "Z" } }),
      { mounts: [bind({ Mode: "rw,z" })] },
      false,
    ],
    [
      "a label beside read only",
      withVolumes({ ...srcVolume, read_only: true, bind: { ...srcVolume.bind, selinux: "Z" } }),
      { mounts: [bind({ Mode: "ro,Z", RW: false })] },
      true,
    ],
    [
      "propagation",
      withVolumes({ ...srcVolume, bind: { ...srcVolume.bind, propagation: "rslave" } }),
      { mounts: [bind({ Mode: "rslave", Propagation: "rslave" })] },
      true,
    ],
    [
      "propagation that is put into the file",
      withVolumes({ ...srcVolume, bind: { ...srcVolume.bind, propagation: "rshared" } }),
      { mounts: [bind()] },
      false,
    ],
    [
      "consistency, which means nothing",
      withVolumes({ ...srcVolume, consistency: "cached" }),
      { mounts: [bind({ Mode: "cached" })] },
      true,
    ],
    [
      "a volume",
      withVolumes({ type: "volume", source: "data", target: "/data/", volume: {} }),
      { mounts: [volume("/data", "shop_data", { Mode: "z" })] },
      true,
    ],
    [
      "a volume in another's place",
      withVolumes({ type: "volume", source: "data", target: "/data" }),
      { mounts: [volume("/data", "shop_other")] },
      false,
    ],
    ["a tmpfs whose size is no more", withVolumes({ type: "tmpfs", target: "/t" }), tmpfsOf(4096), false],
    ["a tmpfs with a size", sizedTmpfs(4096), tmpfsOf(4096), true],
    ["a tmpfs with another size", sizedTmpfs(4096), tmpfsOf(8192), false],
    ["a size that is put into the file", sizedTmpfs(4096), tmpfsOf(undefined), false],
    // Others' volumes are shown beside one's own.
    [
      "volumes of another container",
      { volumes_from: ["other"] },
      { host: { VolumesFrom: ["other:rw"] }, mounts: [volume("/shared", "shop_data"), bind()] },
      true,
    ],
    [
      "a bind of one's own that is taken away beside them",
      { volumes_from: ["other"] },
      { host: { VolumesFrom: ["other"], Binds: ["/src:/src:rw"] }, mounts: [bind()] },
      false,
    ],
    [
      "an anonymous volume that is taken away beside them",
      { volumes_from: ["other"] },
      {
        host: { VolumesFrom: ["other"] },
        config: { Volumes: { "/own": {} } },
        mounts: [volume("/own", noName)],
      },
      false,
    ],
    // The program.
    ["a variable taken away", {}, { config: { Env: ["PATH=/bin", "A=b"] } }, false],
    [
      "what tells a scheduler of the container before",
      {},
      { config: { Env: ["affinity:container==0123", "PATH=/bin"] } },
      true,
    ],
    ["no time to end", { stop_grace_period: 0 }, { config: { StopTimeout: 0 } }, true],
    ["no time to end taken away", {}, { config: { StopTimeout: 0 } }, false],
    ["another command", { command: ["other"] }, {}, false],
    ["a command taken away", {}, { config: { Cmd: ["other"] } }, false],
    ["a label taken away", {}, { config: { Labels: { tier: "back" } } }, false],
  ];
  for (const [what, service, change, isSame] of rows) {
    it(`${isSame ? "keeps" : "makes anew"}: ${what}`, () => equal(judge(service, found(change)), isSame));
  }

  for (const [what, mount] of [
    ["a volume with a name", volume("/store", "shop_data")],
    ["a directory of the host's", bind({ Destination: "/store" })],
    ["a volume that is read only", volume("/store", noName, { RW: false, Mode: "ro" })],
  ] as const) {
    it(`makes anew: ${what} where the image has a volume, taken out of the file`, () => {
      equal(judge({}, { ...found({}), Mounts: [mount] }), false);
    });
  }
});
