/**
 * The bodies of Docker's own command line, recorded in test/fixtures/create-bodies.json, are what these command lines must
 * give. Where a docker CLI of the recorded version is installed, the recording itself is checked, too;
 * `GANTRY_UPDATE_FIXTURES=1` writes it anew.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CliError } from "../errors.ts";
import { parseArguments } from "../parser.ts";
import { platformText } from "../pull-image.ts";
import { containerFlags } from "./flags.ts";
import { createRequest } from "./request.ts";

const fixturePath = join(import.meta.dirname, "../../../test/fixtures/create-bodies.json");
const recordedVersion = "28.2.2";

const dockerVersion = await new Promise<string>((resolve) => {
  execFile("docker", ["--version"], (_error, stdout) => resolve(/version ([\d.]+)/.exec(stdout)?.[1] ?? ""));
});

/** What a command line gives: how the body differs from that of `create busybox`, or an error's first line. */
interface Recorded {
  readonly platform?: string;
  readonly changes?: Record<string, unknown>;
  readonly error?: string;
}

const directory = mkdtempSync(join(tmpdir(), "gantry-request-"));
const workingDirectory = process.cwd();
before(() => {
  process.chdir(directory);
  mkdirSync("rel");
  writeFileSync("env", 'A=1\n# comment\n\nGIVEN\nMISSING\n  B=2\nC="q"\n');
  writeFileSync("env-bom", "\ufeffA=1\r\nB=2\r\n");
  writeFileSync("env-space", "A B=1\n");
  writeFileSync("env-noname", "=1\n");
  writeFileSync("labels", "A=1\n# comment\nalone\nGIVEN\n");
  writeFileSync("seccomp.json", '{"a": [1,  2]}\n');
  writeFileSync("broken.json", "{");
});
after(() => {
  process.chdir(workingDirectory);
  rmSync(directory, { recursive: true, force: true });
});

/** Words of each command line, without the image at its end. One array for each. */
const commandLines: readonly string[][] = `
-h host --domainname d -u 1:2 -w /x -it
-i -a stdout
-a stdin -a STDOUT
-a bogus
-t
--read-only --privileged --init --rm
--init=false
--name x
--entrypoint /x
--entrypoint=
--stop-signal INT --stop-timeout 5
--stop-timeout=-1
-e X=1 -e GIVEN -e UNSET -e Y= --env-file env --label-file labels -l x -l y=1 -l GIVEN
--env-file env-bom
-e =x
--env-file nope
--env-file env-space
--env-file env-noname
--label-file nope
-l =x
-p 80 -p 8080:80 -p 127.0.0.1::90/udp -p 8000-8002:9000-9002 -p [::1]:1:2
-p published=5,target=6,protocol=udp -p target=7
-p ::1:80:80 -p 80/TCP -p 10.0.0.1:8000-8001:80-81/sctp
-p 80-82:90
-p 80-82:90-91
-p 99999:80
-p a:80
-p 80:80:80:80
-p 1.2.3:80:80
-p 80/foo
-p :
-p 80:
-p /tcp
-p x=y=z,=
--expose 90 --expose 91-93/udp --expose 80/foo -P
--expose 80:80
--expose x
--expose 5-3
--expose 70000
-v /a -v /h:/b:ro -v named:/c -v ~/x:/e -v /h:/b:ro -v relative
-v a:b:c:d
-v a:ro
-v /a:
-v /a:/b:ro:z
-v /a:/b:rslave,z
--tmpfs /a --tmpfs /b:size=1m,mode=1777
--mount type=bind,src=/x,dst=/y,readonly,bind-propagation=rshared
--mount type=volume,source=v,target=/t,volume-opt=a=b,volume-label=x=y,volume-nocopy
--mount type=tmpfs,target=/tt,tmpfs-size=1m,tmpfs-mode=1770
--mount dst=/anon --mount type=image,src=img,dst=/i,image-subpath=x
--mount type=volume,volume-subpath=s,dst=/x
--mount type=volume,volume-driver=l,dst=/x
--mount type=bind,src=/a,dst=/b,bind-recursive=enabled
--mount type=bind,src=/a,dst=/b,bind-recursive=disabled
--mount type=bind,src=/a,dst=/b,bind-recursive=writable,ro
--mount type=bind,src=/a,dst=/b,bind-recursive=readonly,ro,bind-propagation=rprivate
--mount type=bind,src=/a,dst=/b,bind-recursive=readonly,ro
--mount type=bind,src=/a,dst=/b,bind-recursive=writable
--mount type=bind,src=/a,dst=/b,bind-recursive=bogus
--mount type=tmpfs,tmpfs-mode=0,dst=/x
--mount type=tmpfs,tmpfs-mode=9,dst=/x
--mount type=tmpfs,tmpfs-size=x,dst=/x
--mount src=,dst=/x,ro=false
--mount TYPE=bind,SRC=/A,DST=/X
--mount type=bogus,dst=/x
--mount dst=/x,foo
--mount foo=bar,dst=/x
--mount type=bind,src=/a
--mount type=volume,dst=/x,bind-propagation=shared
--mount type=bind,src=/a,dst=/x,volume-nocopy
--mount type=bind,src=/a,dst=/x,readonly=bogus
--network a
--network host
--network container:x
--network a --network name=b,alias=x,alias=y,ip=1.2.3.4,driver-opt=f=g,mac-address=02:42:00:00:00:01,gw-priority=5
--network name=AbC,alias=XY
--network a --ip 1.2.3.4 --ip6 fe80::1 --network-alias q --link c:d --link-local-ip 169.254.1.1 --mac-address 02:42:00:00:00:02
--net a --net-alias b
--network a --network a
--network host --network b
--network-alias x
--network name=a,alias=z --network-alias x
--network name=a,foo=x
--network name=,alias=x
--ip 1.2.3.4
--mac-address xx
--link a:b --network host
--link a:b:c
--dns 1.1.1.1 --dns-search example.com. --dns-opt ndots:2
--dns bogus
--dns-search .
--add-host a:1.2.3.4 --add-host b=fe80::1 --add-host c:host-gateway --add-host x=[::1]
--add-host x
--add-host x:bad
--restart on-failure:3
--restart always
--restart unless-stopped --rm
--restart on-failure:x
--restart :2
--restart=
--health-cmd x --health-interval 5s --health-timeout 1m --health-retries 2 --health-start-period 3s --health-start-interval 500ms
--no-healthcheck
--no-healthcheck --health-cmd x
--health-interval=-5s
--health-retries=-1
--log-driver json-file --log-opt max-size=1m --log-opt x
--log-driver none --log-opt a=b
--security-opt seccomp=seccomp.json --security-opt no-new-privileges --security-opt apparmor=x
--security-opt seccomp=unconfined --security-opt systempaths=unconfined --security-opt label:disable
--security-opt no-new-privileges:true --security-opt seccomp:unconfined
--security-opt seccomp=nope.json
--security-opt bogus
-m 512m --memory-reservation 100m --memory-swap 1g --memory-swappiness 60 --oom-kill-disable --oom-score-adj 5 --pids-limit 100
--memory-swap -1
--memory-swappiness 101
-m 1x
--shm-size 128m --cpus 1.5 -c 512 --cpu-period 1000 --cpu-quota 500 --cpuset-cpus 0-1 --cpuset-mems 0
--shm-size -1
--cpus 0.0000000001
--cpu-rt-period 5 --cpu-rt-runtime 6 --blkio-weight 100 --blkio-weight-device /dev/sda:200
--device-read-bps /dev/sda:1m --device-write-iops /dev/sda:50 --device-read-iops /dev/sda:5 --device-write-bps /dev/sda:5k
--blkio-weight-device /dev/x:5
--blkio-weight-device x
--device-read-bps /x:1
--device-read-bps /dev/x:a
--device-read-iops /dev/x:-1
--ulimit nofile=1024:2048 --ulimit core=0 --ulimit memlock=-1:-1 --ulimit nofile=3
--ulimit nofile=5:1
--ulimit bogus=5
--ulimit nofile
--ulimit nofile=a
--device /dev/null --device /dev/zero:/dev/z:r --device /dev/full:rw --device vendor.com/gpu=all
--device /dev/a:b:c:d
--device x
--device /a:/b:q
--device-cgroup-rule c_10:200_rwm
--device-cgroup-rule x
--gpus all
--gpus 2
--gpus driver=x,count=2,options=a=b,capabilities=compute
--gpus device=0 --gpus all
--gpus count=x
--gpus foo=x
--cap-add NET_ADMIN --cap-add cap_sys_admin --cap-drop all --cap-drop chown --cap-add net_admin
--sysctl net.ipv4.ip_forward=1 --storage-opt size=1G --annotation a=b --group-add 5 --group-add x
--sysctl kernel.hostname=x
--storage-opt x
--pid host --ipc shareable --uts host --userns host --cgroupns private --cgroup-parent /x --runtime runc
--pid container:x --isolation default --volume-driver local --volumes-from c:ro
--pid bogus
--uts x
--userns x
--cgroupns x
--platform linux/aarch64
`
  .trim()
  .split("\n")
  .map((line) => line.split(" ").map((word) => word.replaceAll("_", word.startsWith("c_") ? " " : "_")));

const environment = { ...process.env, GIVEN: "given" } as Record<string, string>;
delete environment["MISSING"];
delete environment["UNSET"];

/** Fields that only Windows has, which gantry leaves out. */
const leftOut = ["CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"];

type Json = Record<string, unknown>;

function changes(base: Json, body: Json, prefix = ""): Json {
  const result: Json = {};
  for (const key of new Set([...Object.keys(base), ...Object.keys(body)])) {
    const [was, is] = [base[key], body[key]];
    if (leftOut.includes(key)) continue;
    const areObjects = [was, is].every((it) => typeof it === "object" && it !== null && !Array.isArray(it));
    if (areObjects) Object.assign(result, changes(was as Json, is as Json, `${prefix}${key}.`));
    else if (JSON.stringify(was) !== JSON.stringify(is))
      result[prefix + key] = is === undefined ? "(absent)" : is;
  }
  return result;
}

function ownBody(words: readonly string[]): { body: Json; platform: string | undefined } {
  const parsed = parseArguments([...words, "busybox"], containerFlags, { stopAtFirstArgument: true });
  const body = createRequest(parsed, { command: "create", env: environment, consoleSize: [0, 0] });
  return {
    body: JSON.parse(JSON.stringify(body)) as Json,
    platform: platformText(parsed.string("platform")),
  };
}

function own(words: readonly string[]): Recorded {
  try {
    const { body, platform } = ownBody(words);
    return {
      ...(platform === undefined ? {} : { platform }),
      changes: changes(ownBody([]).body, body),
    };
  } catch (error) {
    assert.ok(error instanceof CliError, String(error));
    assert.equal(error.exitCode, 125);
    return { error: error.message.split("\n")[0]!.replace(/^gantry: /, "") };
  }
}

const fixture = (): { base: Json; lines: Record<string, Recorded> } =>
  JSON.parse(readFileSync(fixturePath, "utf8")) as { base: Json; lines: Record<string, Recorded> };

/** Order of keys means nothing, and Docker writes binds and variables in any order. */
function canonical(recorded: Recorded | undefined): unknown {
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([k, v]) => [k, sorted(v)]),
    );
  };
  const copy = structuredClone(recorded);
  for (const list of [copy?.changes?.["HostConfig.Binds"], copy?.changes?.["Env"]]) {
    if (Array.isArray(list)) (list as string[]).sort((a, b) => (a < b ? -1 : 1));
  }
  return sorted(copy);
}

test("a plain command line gives the body that Docker's gives", () => {
  assert.deepEqual(changes(fixture().base, ownBody([]).body), {});
});

for (const words of commandLines) {
  test(`create ${words.join(" ")}`, () => {
    assert.deepEqual(canonical(own(words)), canonical(fixture().lines[words.join(" ")]));
  });
}

test("a broken seccomp profile is named", () => {
  assert.match(
    own(["--security-opt", "seccomp=broken.json"]).error!,
    /^compacting json for seccomp profile \(broken\.json\) failed: /,
  );
});

test("a relative source is taken from the working directory", () => {
  const { body } = ownBody(["-v", "./rel:/d", "--mount", "type=bind,src=./rel,dst=/e"]);
  const host = body["HostConfig"] as { Binds: string[]; Mounts: { Source: string }[] };
  assert.deepEqual(host.Binds, [`${process.cwd()}/rel:/d`]);
  assert.equal(host.Mounts[0]!.Source, `${process.cwd()}/rel`);
});

test("flags that gantry does not serve say so", () => {
  for (const words of [
    ["--kernel-memory", "50m"],
    ["--use-api-socket"],
    ["--cpu-count", "2"],
    ["--io-maxiops", "1"],
  ]) {
    assert.match(own(words).error!, /is not served by gantry/);
  }
});

test(
  "the recording is what Docker's command line sends",
  { skip: dockerVersion !== recordedVersion },
  async () => {
    const recorded = await record();
    if (process.env["GANTRY_UPDATE_FIXTURES"] === "1") {
      writeFileSync(fixturePath, `${JSON.stringify(recorded, undefined, 1)}\n`);
    }
    const { lines } = fixture();
    for (const [line, result] of Object.entries(recorded.lines)) {
      assert.deepEqual(canonical(lines[line]), canonical(result), line);
    }
  },
);

/** Runs every command line with docker against a server that keeps what it is sent. */
async function record(): Promise<{ base: Json; lines: Record<string, Recorded> }> {
  const socket = join(directory, "recorder.sock");
  let last: { body: Json; platform: string | null } | undefined;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      response.setHeader("Api-Version", "1.50");
      response.setHeader("Ostype", "linux");
      response.setHeader("Content-Type", "application/json");
      if (!request.url!.includes("/create")) return void response.end();
      const platform = new URL(request.url!, "http://docker").searchParams.get("platform");
      last = { body: JSON.parse(Buffer.concat(parts).toString()) as Json, platform };
      response.statusCode = 201;
      response.end('{"Id":"id","Warnings":[]}');
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const run = (words: readonly string[]): Promise<string> =>
    new Promise((resolve) => {
      const env = { ...environment, HOME: directory, DOCKER_HOST: `unix://${socket}` };
      execFile("docker", ["create", ...words, "busybox"], { env }, (_error, _stdout, stderr) =>
        resolve(stderr),
      );
    });
  try {
    await run([]);
    const base = last!.body;
    const lines: Record<string, Recorded> = {};
    for (const words of commandLines) {
      last = undefined;
      const stderr = await run(words);
      const sent = last as { body: Json; platform: string | null } | undefined;
      lines[words.join(" ")] =
        sent === undefined
          ? { error: stderr.split("\n")[0]!.replace(/^docker: /, "") }
          : {
              ...(sent.platform === null ? {} : { platform: sent.platform }),
              changes: changes(base, sent.body),
            };
    }
    return { base, lines };
  } finally {
    server.close();
    assert.ok(existsSync(directory));
  }
}
