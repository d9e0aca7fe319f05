import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerConfig, HostConfig } from "../wire/container.ts";
import { validateCreate } from "./validate.ts";
import { parseCpuset, validateLimits } from "./validate-limits.ts";

const bad = (config: ContainerConfig, host: HostConfig, message: string | RegExp): void => {
  assert.throws(
    () => validateCreate(config, host),
    { name: "EngineError", kind: "invalidArgument", message },
    JSON.stringify([config, host]),
  );
};

test("what the docker client sends for a plain run is fine", () => {
  const host: HostConfig = {
    NetworkMode: "default",
    MemorySwappiness: -1,
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    LogConfig: { Type: "", Config: {} },
    ConsoleSize: [0, 0],
    OomKillDisable: false,
    PortBindings: {},
    Binds: null,
    DeviceRequests: null,
    Sysctls: null,
  };
  assert.deepEqual(validateCreate({ Image: "busybox", Cmd: ["true"], Env: null }, host), []);
});

test("mistakes in the config are refused", () => {
  bad({ Env: ["=x"] }, {}, "invalid environment variable: =x");
  bad({ Env: [""] }, {}, "invalid environment variable: ");
  bad({ Cmd: ["a\0b"] }, {}, /NUL/);
  bad({ WorkingDir: "x" }, {}, "the working directory 'x' is invalid, it needs to be an absolute path");
  bad({ StopSignal: "SIGNOPE" }, {}, "invalid signal: SIGNOPE");
  bad({ Hostname: "a b" }, {}, "invalid hostname format: a b");
  bad({ MacAddress: "00:11" }, {}, "00:11 is not a valid mac address");
  bad({ ExposedPorts: { "80/xyz": {} } }, {}, /invalid port specification/);
  bad({ ExposedPorts: { "70000/tcp": {} } }, {}, 'invalid port specification: "70000/tcp"');
  bad({ Healthcheck: { Interval: 5 } }, {}, "Interval in Healthcheck cannot be less than 1ms");
  bad({ Env: "x" as unknown as string[] }, {}, "invalid request: Env must be a list of strings");
  bad({}, { Memory: "1" as unknown as number }, "invalid request: HostConfig.Memory must be a whole number");
  bad(
    {},
    { Ulimits: [7 as unknown as object] },
    "invalid request: HostConfig.Ulimits must be a list of objects",
  );
});

test("mistakes in the host config are refused", () => {
  const table: [HostConfig, string | RegExp][] = [
    [{ Memory: 6 * 1024 * 1024 - 1 }, "Minimum memory limit allowed is 6MB"],
    [
      { Memory: 1e8, MemorySwap: 1e7 },
      "Minimum memoryswap limit should be larger than memory limit, see usage",
    ],
    [{ MemorySwap: 1e8 }, "You should always set the Memory limit when using Memoryswap limit, see usage"],
    [{ MemorySwappiness: 101 }, "Invalid value: 101, valid memory swappiness range is 0-100"],
    [{ NanoCpus: 1e12 }, /^range of CPUs is from 0.01 to \d+.00, as there are only \d+ CPUs available$/],
    [{ NanoCpus: 1e9, CpuQuota: 5000 }, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"],
    [{ CpuPeriod: 10 }, /^CPU cfs period can not be less than 1ms/],
    [{ CpuQuota: 10 }, /^CPU cfs quota can not be less than 1ms/],
    [{ CpusetCpus: "x" }, "Invalid value x for cpuset cpus: invalid format: x"],
    [{ CpusetCpus: "4000" }, /^Requested CPUs are not available - requested 4000, available: /],
    [{ BlkioWeight: 5 }, "Range of blkio weight is from 10 to 1000"],
    [{ ShmSize: -1 }, "SHM size can not be less than 0"],
    [{ OomScoreAdj: 1001 }, "Invalid value 1001, range for oom score adj is [-1000, 1000]"],
    [{ Ulimits: [{ Name: "nope", Soft: 1, Hard: 1 }] }, "invalid ulimit type: nope"],
    [{ Ulimits: [{ Name: "nofile", Soft: 2, Hard: 1 }] }, /^ulimit soft limit must be less than or equal/],
    [{ RestartPolicy: { Name: "sometimes" } }, /^invalid restart policy: unknown policy 'sometimes'/],
    [{ RestartPolicy: { Name: "always", MaximumRetryCount: 2 } }, /can only be used with 'on-failure'$/],
    [
      { RestartPolicy: { Name: "always" }, AutoRemove: true },
      "can't create 'AutoRemove' container with restart policy",
    ],
    [{ CapAdd: ["FLY"] }, 'invalid CapAdd: unknown capability: "CAP_FLY"'],
    [{ SecurityOpt: ["what"] }, 'invalid --security-opt 1: "what"'],
    [{ SecurityOpt: ["what=ever"] }, 'invalid --security-opt 2: "what=ever"'],
    [{ SecurityOpt: ["seccomp={"] }, /^Decoding seccomp profile failed/],
    [{ PortBindings: { "80/tcp": [{ HostPort: "90-80" }] } }, 'invalid port specification: "90-80"'],
    [{ PortBindings: { "80/tcp": [{ HostIp: "1.2.3" }] } }, "invalid IP address: 1.2.3"],
    [{ Mounts: [{ Type: "odd", Target: "/x" }] }, 'invalid mount config for type "odd": mount type unknown'],
    [{ Mounts: [{ Type: "bind", Target: "x", Source: "/" }] }, /mount path must be absolute$/],
    [{ Mounts: [{ Type: "bind", Target: "/x" }] }, /field Source must not be empty$/],
    [{ Mounts: [{ Type: "tmpfs", Target: "/x", Source: "/a" }] }, /field Source must not be specified$/],
    [{ Binds: ["/a:/x"], Tmpfs: { "/x/": "" } }, "Duplicate mount point: /x"],
    [{ Binds: ["/a:/x", "/b:/x"] }, "Duplicate mount point: /x"],
    [{ Tmpfs: { "/x": "size=1m,what" } }, 'invalid tmpfs option ["what"]'],
    [{ DeviceCgroupRules: ["c 1:3 xyz"] }, "invalid device cgroup rule format: 'c 1:3 xyz'"],
    [
      { NetworkMode: "host", Sysctls: { "net.ipv4.ip_forward": "1" } },
      /not allowed in host network namespace$/,
    ],
    [{ Sysctls: { "vm.swappiness": "1" } }, /is not in a separate kernel namespace$/],
    [
      { NetworkMode: "container:", Dns: ["1.1.1.1"] },
      "Invalid network mode: invalid container format container:<name|id>",
    ],
    [{ NetworkMode: "container:x", Dns: ["1.1.1.1"] }, "conflicting options: dns and the network mode"],
    [{ Dns: ["here"] }, /is not an ip address$/],
    [{ ExtraHosts: ["x y:1.2.3.4"] }, 'bad format for add-host: "x y:1.2.3.4"'],
    [{ DnsSearch: ["x\ny"] }, 'invalid DNS search domain: "x\\ny"'],
    [{ DnsOptions: ["x\ny"] }, 'invalid DNS option: "x\\ny"'],
    [{ ExtraHosts: ["x"] }, 'bad format for add-host: "x"'],
    [{ ExtraHosts: ["x:y"] }, 'invalid IP address in add-host: "y"'],
    [{ IpcMode: "odd" }, "invalid IPC mode: odd"],
    [{ IpcMode: "container:" }, "invalid IPC mode: container:"],
    [{ PidMode: "container:" }, "invalid PID mode: container:"],
    [{ UsernsMode: "private" }, "invalid user namespace mode: private"],
    [{ PidMode: "odd" }, "invalid PID mode: odd"],
    [{ UTSMode: "odd" }, "invalid UTS mode: odd"],
    [{ CgroupnsMode: "odd" }, "invalid cgroup namespace mode: odd"],
    [{ LogConfig: { Type: "odd" } }, 'error looking up logging plugin odd: plugin "odd" not found'],
    [
      { LogConfig: { Type: "json-file", Config: { odd: "1" } } },
      "unknown log opt 'odd' for json-file log driver",
    ],
    [{ Isolation: "hyperv" }, "Invalid isolation: \"hyperv\" - linux only supports 'default'"],
    [{ CgroupParent: "/a/../.." }, "invalid cgroup-parent: /a/../.."],
  ];
  for (const [host, message] of table) bad({}, host, message);
  bad({ Hostname: "x" }, { UTSMode: "host" }, "conflicting options: hostname and the UTS mode");
});

test("what is not served is refused by name", () => {
  const table: [HostConfig, RegExp][] = [
    [{ LogConfig: { Type: "gelf" } }, /--log-driver gelf/],
    [{ Mounts: [{ Type: "cluster", Source: "x", Target: "/x" }] }, /type=cluster/],
  ];
  for (const [host, message] of table)
    assert.throws(() => validateCreate({}, host), { kind: "notImplemented", message }, JSON.stringify(host));
  for (const Test of [["NONE"], ["CMD", "x"], ["CMD-SHELL", "x | y"], [], null])
    assert.deepEqual(validateCreate({ Healthcheck: { Test } }, {}), []);
});

test("the host network discards published ports, and says so", () => {
  assert.deepEqual(validateCreate({}, { NetworkMode: "host", PortBindings: { "80/tcp": [{}] } }), [
    "Published ports are discarded when using host network mode",
  ]);
});

test("limits that the kernel cannot hold are warned of", () => {
  const nothing = {
    version: 2,
    memory: false,
    swap: false,
    swappiness: false,
    oomKillDisable: false,
    cpuShares: false,
    cpuQuota: false,
    cpuRealtime: false,
    cpuset: false,
    pids: false,
    blkioWeight: false,
    blkioBfq: false,
    blkioThrottle: false,
  } as const;
  const warnings = validateLimits(
    { Memory: 1e8, CpuShares: 5, PidsLimit: 5, OomKillDisable: true, MemorySwappiness: 3, CpusetCpus: "0" },
    nothing,
  );
  assert.equal(warnings.length, 6);
  assert.throws(() => validateLimits({ NanoCpus: 1e9 }, nothing), { message: /^NanoCPUs can not be set/ });
});

test("lists of processors are read", () => {
  assert.deepEqual(parseCpuset("0-2,7"), [0, 1, 2, 7]);
  for (const text of ["a", "1-", "3-1", "0-999999", "1,,2"]) assert.equal(parseCpuset(text), undefined, text);
});
