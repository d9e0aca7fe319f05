/**
 * Wrong values of the flags of `docker run`, and flags that contradict each other: the words are Docker's, and nothing is made.
 * The same table runs against dockerd (`GANTRY_TEST_ENGINE=docker`).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

/** Flags, a space between them; the message. */
const table: readonly (readonly [flags: string, message: RegExp])[] = [
  // memory
  ["-m 1", /Minimum memory limit allowed is 6MB/],
  ["-m lots", /invalid size: 'lots'/],
  ["-m -5m", /invalid size|invalid argument/],
  ["--memory-swap 10m", /You should always set the Memory limit when using Memoryswap limit, see usage/],
  ["-m 64m --memory-swap 32m", /Minimum memoryswap limit should be larger than memory limit, see usage/],
  ["--memory-reservation 1m", /Minimum memory reservation allowed is 6MB/],
  [
    "-m 32m --memory-reservation 64m",
    /Minimum memory limit can not be less than memory reservation limit, see usage/,
  ],
  ["--memory-swappiness 101", /invalid value: 101. Valid memory swappiness range is 0-100/],
  ["--shm-size -1", /invalid size|invalid argument/],
  ["--oom-score-adj 2000", /Invalid value 2000, range for oom score adj is \[-1000, 1000\]/],
  // processors
  ["--cpus 1000", /[Rr]ange of CPUs is from 0.01 to \d+.00, as there are only \d+ CPUs available/],
  ["--cpus some", /failed to parse some as a rational number|invalid argument "some"/],
  ["--cpus 1 --cpu-period 100000", /Conflicting options: Nano CPUs and CPU Period cannot both be set/],
  ["--cpus 1 --cpu-quota 100000", /Conflicting options: Nano CPUs and CPU Quota cannot both be set/],
  [
    "--cpu-period 5",
    /CPU cfs period can not be less than 1ms \(i\.e\. 1000\) or larger than 1s \(i\.e\. 1000000\)/,
  ],
  ["--cpu-quota 5", /CPU cfs quota can not be less than 1ms \(i\.e\. 1000\)/],
  [
    "--cpu-rt-period 100 --cpu-rt-runtime 200",
    /cpu real-time runtime cannot be higher than cpu real-time period|does not support CPU real-time/,
  ],
  ["--cpuset-cpus 900", /Requested CPUs are not available - requested 900, available: /],
  ["--cpuset-cpus x", /Invalid value x for cpuset cpus/],
  ["--cpuset-mems 900", /Requested memory nodes are not available - requested 900, available: /],
  ["--cpu-shares many", /invalid argument "many" for "-c, --cpu-shares" flag/],
  // block devices and processes
  ["--blkio-weight 5", /Range of blkio weight is from 10 to 1000|does not support Block I\/O weight/],
  ["--blkio-weight-device /dev/null:5", /invalid weight for device: \/dev\/null:5/],
  ["--device-read-bps /dev/null:fast", /invalid rate for device: \/dev\/null:fast/],
  ["--device-write-iops null:5", /bad format for device path: null:5/],
  ["--pids-limit few", /invalid argument "few" for "--pids-limit" flag/],
  ["--ulimit nofile", /invalid ulimit argument: nofile/],
  ["--ulimit files=5", /invalid ulimit type: files/],
  ["--ulimit nofile=5:4", /ulimit soft limit must be less than or equal to hard limit: 5 > 4/],
  // rights
  ["--cap-add flying", /invalid CapAdd: unknown capability: "CAP_FLYING"/],
  ["--cap-drop flying", /invalid CapDrop: unknown capability: "CAP_FLYING"/],
  ["--security-opt x=y", /invalid --security-opt 2: "x=y"/],
  [
    "--device relative",
    /error gathering device information while adding custom device "relative"|relative is not an absolute path/,
  ],
  ["--device /dev/null:/x:abc", /bad mode specified: abc/],
  ["--device-cgroup-rule q", /invalid device cgroup format 'q'/],
  ["--sysctl kernel.hostname=x", /sysctl 'kernel.hostname=x' is not allowed/],
  [
    "--network host --sysctl net.core.somaxconn=5",
    /sysctl "net.core.somaxconn".*not allowed in host network namespace|not allowed as network namespace is not private/i,
  ],
  ["--runtime nobody", /(unknown or invalid runtime name|Unknown runtime specified):? nobody/],
  ["--group-add strangers", /[Uu]nable to find group strangers/],
  ["-u stranger", /unable to find user stranger: no matching entries in passwd file/],
  // namespaces
  ["--pid odd", /--pid: invalid PID mode/],
  ["--pid container:nobody", /No such container: nobody/],
  ["--ipc odd", /[Ii]nvalid IPC mode: odd/],
  ["--ipc container:nobody", /No such container: nobody/],
  ["--uts odd", /--uts: invalid UTS mode/],
  ["--userns odd", /--userns: invalid USER mode/],
  ["--cgroupns odd", /--cgroupns: invalid CGROUP mode/],
  ["--uts host --hostname name", /conflicting options: hostname and the UTS mode/],
  ["--network container:nobody", /No such container: nobody/],
  ["--network container:x -h name", /conflicting options: hostname and the network mode/],
  [
    "--network container:x -p 80:80",
    /conflicting options: port publishing and the container type network mode/,
  ],
  ["--network container:x --dns 1.1.1.1", /conflicting options: dns and the network mode/],
  [
    "--network container:x --add-host a:1.1.1.1",
    /conflicting options: custom host-to-IP mapping and the network mode/,
  ],
  // files
  ["-v relative/path:/x", /includes invalid characters for a local volume name/],
  ["-v /a:b", /invalid mount path: 'b' mount path must be absolute/],
  ["-v /a:/b:odd", /invalid mode: odd/],
  ["-v /a:/", /destination can't be '\/'/],
  ["--mount type=bind,src=/no/where,dst=/x", /bind source path does not exist: \/no\/where/],
  ["--mount src=a", /target is required/],
  ["--mount type=odd,dst=/x", /mount type unknown/],
  ["--mount dst=/x,odd=1", /unexpected key 'odd' in 'odd=1'/],
  [
    "--tmpfs relative",
    /invalid mount path: 'relative' mount path must be absolute|is not an absolute path|destination is not abs/i,
  ],
  ["-v /tmp:/x -v /usr:/x", /Duplicate mount point: \/x/],
  ["-w relative", /the working directory 'relative' is invalid, it needs to be an absolute path/],
  ["--volumes-from nobody", /No such container: nobody/],
  // life
  ["--restart sometimes", /invalid restart policy/],
  ["--restart always:3", /maximum retry count (can only|cannot) be used with/],
  ["--restart on-failure:x", /maximum retry count must be an integer/],
  ["--restart on-failure:-1", /maximum retry count cannot be negative/],
  ["--rm --restart always", /conflicting options: cannot specify both --restart and --rm/],
  ["--stop-signal NOTHING", /[Ii]nvalid signal: NOTHING/],
  ["--log-driver odd", /error looking up logging plugin odd: plugin "odd" not found/],
  ["--log-opt odd=1", /unknown log opt 'odd' for json-file log driver/],
  ["--health-cmd x --no-healthcheck", /--no-healthcheck conflicts with --health-\* options/],
  ["--health-interval 1us --health-cmd x", /cannot be less than 1ms/],
  ["--health-retries -1 --health-cmd x", /--health-retries cannot be negative/],
  ["--isolation hyperv", /invalid isolation/i],
  // names and network
  ["--name a/b", /Invalid container name \(a\/b\), only \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\] are allowed/],
  [`-h ${"x".repeat(65)}`, /invalid hostname format: x{65}|sethostname: invalid argument/],
  ["-e =x", /invalid environment variable: =x/],
  ["-l =x", /invalid label '=x': empty name/],
  ["--add-host nonsense", /bad format for add-host: "nonsense"/],
  ["--add-host a:b", /invalid IP address in add-host: "b"/],
  ["--dns x", /x is not an ip address|IP address is not correctly formatted: x/],
  ["--dns-search -", /- is not a valid domain/],
  ["--mac-address x", /x is not a valid mac address/],
  ["-p x", /[Ii]nvalid containerPort: x/],
  ["-p 99999:80", /[Ii]nvalid hostPort: 99999/],
  ["-p 80-81:80-85", /[Ii]nvalid ranges specified for container and host Ports/],
  ["-p 300.1.1.1:80:80", /[Ii]nvalid (IP|ip) address/],
  ["-p 80/xyz", /[Ii]nvalid proto: xyz/],
  ["--expose x", /invalid (range format for --expose|port)/],
  ["--link nobody", /could not get container for nobody|No such container: nobody/],
  [
    "--ip 10.1.1.1",
    /user specified IP address is supported on user defined networks only|user specified IP address is supported only when connecting to networks with user configured subnets/,
  ],
  ["-a nothing", /valid streams are STDIN, STDOUT and STDERR/],
  ["--platform odd/odd/odd/odd", /invalid|not a valid|unknown operating system/i],
  ["--pull odd", /invalid pull option: 'odd': must be one of "always", "missing" or "never"/],
  ["--env-file /no/such/file", /open \/no\/such\/file: no such file or directory/],
  ["--label-file /no/such/file", /open \/no\/such\/file: no such file or directory/],
  ["--annotation =x", /annotation/i],
  ["-d --rm=maybe", /invalid argument "maybe" for "--rm"/],
  ["--no-such-flag", /unknown flag: --no-such-flag/],
];

/** Where Docker 20.10 does not refuse, and why the engine does. */
const refusedHere: ReadonlyMap<string, string> = new Map([
  ["--blkio-weight 5", "it does not know the weights of BFQ, and discards a weight that it cannot set"],
]);

describe("bad input", () => {
  const suite = useDaemon();

  const atOnce = 8;
  for (let start = 0; start < table.length; start += atOnce) {
    const rows = table.slice(start, start + atOnce);
    test(`run ${rows.map(([flags]) => flags).join(" | ")}`, async () => {
      await Promise.all(rows.map(([flags, message]) => isRefused(flags, message)));
      // A user and a group are looked up in the root, at the start: Docker leaves that container too.
      const left = await suite.daemon.dockerOk(["ps", "-aq", "--filter", "status=running"]);
      assert.equal(left, "");
    });
  }

  async function isRefused(flags: string, message: RegExp): Promise<void> {
    if (flavour === "docker" && refusedHere.has(flags)) return;
    const words = ["run", ...flags.split(" "), busybox, "true"];
    const result = await suite.daemon.docker(words, { timeoutMs: 60_000 });
    assert.notEqual(result.code, 0, `docker run ${flags}`);
    assert.match(result.stderr, message, `docker run ${flags}`);
    // A container that is named and not there is no missing image, which a client would pull.
    if (message.source.startsWith("No such container"))
      assert.doesNotMatch(result.stderr, /Unable to find image/, `docker run ${flags}`);
    if (flavour !== "gantry") return;
    const own = await suite.daemon.gantry(words, { timeoutMs: 60_000 });
    assert.notEqual(own.code, 0, `gantry run ${flags}`);
    assert.match(own.stderr, message, `gantry run ${flags}`);
  }

  test("what only the API can get wrong is refused by the API", async () => {
    // Docker 20.10 takes the modes for namespaces of the container's own, and a port 0 for one like others.
    const takenByDocker: [object, RegExp][] = [
      [{ NetworkMode: "host", UTSMode: "sideways" }, /invalid UTS mode: sideways/i],
      [{ PidMode: "sideways" }, /invalid PID mode: sideways/i],
      [{ PortBindings: { "0/tcp": [{}] } }, /invalid port specification: "0\/tcp"/],
    ];
    const wrong: [object, RegExp][] = [
      ...(flavour === "docker" ? [] : takenByDocker),
      [{ CgroupnsMode: "sideways" }, /invalid cgroup namespace mode: sideways/i],
      [
        { AutoRemove: true, RestartPolicy: { Name: "always" } },
        /can't create 'AutoRemove' container with restart policy/,
      ],
      [{ OomScoreAdj: -2000 }, /Invalid value -2000, range for oom score adj is \[-1000, 1000\]/],
      [{ Binds: [""] }, /invalid volume specification: ''/],
      [{ Mounts: [{ Type: "volume", Target: "" }] }, /field Target must not be empty/],
    ];
    for (const [HostConfig, message] of wrong)
      await assert.rejects(suite.daemon.client.createContainer({ Image: busybox, HostConfig }), message);
    assert.equal(await suite.daemon.dockerOk(["ps", "-aq"]), "");
  });

  test("a name, a container and an exec that are not there", async () => {
    for (const words of [
      ...[
        "start",
        "stop",
        "kill",
        "pause",
        "unpause",
        "restart",
        "rm",
        "wait",
        "port",
        "top",
        "diff",
        "logs",
        "attach",
      ].map((verb) => [verb, "nobody"]),
      ["exec", "nobody", "true"],
      ["rename", "nobody", "somebody"],
      ["update", "-m", "64m", "nobody"],
      ["cp", "nobody:/etc/passwd", "-"],
      ["commit", "nobody", "x"],
      ["export", "nobody"],
    ]) {
      const result = await suite.daemon.docker(words);
      assert.equal(result.code, 1, words.join(" "));
      assert.match(result.stderr, /[Nn]o such container: nobody/, words.join(" "));
    }
  });
});
