/**
 * Guests that mean harm and what is around the container: builds, files that the engine writes, logs, and what others
 * may read. docs/security.md has the table.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, test } from "node:test";
import type Docker from "dockerode";
import { send } from "../fuzz/raw-client.ts";
import { busybox } from "../helpers/images.ts";
import { run, type RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const skip = process.env["GANTRY_TEST_ENGINE"] === "docker";
const marker = "a secret of the host";

describe("builds that mean harm", { skip }, () => {
  const suite = useDaemon({ leaves: ["data-root"] });
  let host = "";
  beforeEach(async () => {
    host = await mkdtemp(join(suite.daemon.root, "host-"));
    await writeFile(join(host, "marker"), marker);
    await mkdir(join(host, "given"));
  });
  const build = (dockerfile: string): Promise<RunResult> =>
    suite.daemon.docker(["build", "--no-cache", "-"], {
      input: dockerfile,
      env: { DOCKER_BUILDKIT: "0" },
      timeoutMs: 120_000,
    });
  const marked = new RegExp(`^${marker}$`, "m");

  test("CVE-2024-23651: the source of a mount that is a link, or becomes one, stays inside", async () => {
    const swap = `mkdir /c/sub; ln -s / /c/way; i=0; while [ $i -lt 300 ]; do i=$((i+1)); mv /c/sub /c/kept; mv /c/way /c/sub; mv /c/sub /c/way; mv /c/kept /c/sub; done; touch /c/done`;
    const read = `cat /m/marker /m${host}/marker; [ ! -e /m${host} ]`;
    const looks = Array.from({ length: 4 }, (_, n) =>
      [
        `FROM ${busybox} AS look${n}`,
        `RUN --mount=type=cache,id=race,target=/c --mount=type=cache,id=race,target=/m,source=sub ${read}`,
        `RUN touch /done`,
      ].join("\n"),
    ).join("\n");
    const result = await build(`
FROM ${busybox} AS links
RUN ln -s / /root-link; ln -s ${host} /host-link; mkdir /tree; ln -s ${"../".repeat(12)}${host} /tree/up
FROM ${busybox} AS swap
RUN --mount=type=cache,id=race,target=/c ${swap}
${looks}
FROM ${busybox}
RUN --mount=type=bind,from=links,source=/root-link,target=/m ${read}
RUN --mount=type=bind,from=links,source=/tree,target=/m cat /m/up/marker; [ ! -e /m/up/marker ]
COPY --from=swap /bin/true /x
${Array.from({ length: 4 }, (_, n) => `COPY --from=look${n} /done /done${n}`).join("\n")}
`);
    assert.equal(result.code, 0, result.stdout + result.stderr);
    assert.doesNotMatch(result.stdout, marked);
    for (const line of [
      "RUN --mount=type=bind,from=links,source=/host-link,target=/m cat /m/marker",
      "COPY --from=links /host-link/marker /m",
      "COPY --from=links /tree/up/marker /m",
      "ADD ../marker /m",
    ]) {
      const refused = await build(
        `FROM ${busybox} AS links\nRUN ln -s ${host} /host-link; mkdir /tree; ln -s ${"../".repeat(12)}${host} /tree/up\nFROM ${busybox}\n${line}\n`,
      );
      assert.notEqual(refused.code, 0, line);
      assert.doesNotMatch(refused.stdout, marked, line);
    }
  });

  test("CVE-2024-23652: what a step makes of its mount points removes nothing on the host", async () => {
    await writeFile(join(host, "empty"), "");
    const result = await build(`
FROM ${busybox}
RUN --mount=type=tmpfs,target=/victim/given mv /victim /moved && ln -s ${host} /victim
RUN --mount=type=cache,target=/victim2/given/deeper mv /victim2 /moved2 && ln -s ${host} /victim2
RUN --mount=type=bind,from=${busybox},source=/bin/true,target=/victim3/empty mv /victim3 /moved3 && ln -s ${host} /victim3
RUN --mount=type=tmpfs,target=/victim4/marker mv /victim4 /moved4 && ln -s ${host} /victim4
RUN [ -L /victim ] && [ -L /victim2 ] && [ -L /victim3 ] && [ -L /victim4 ]
`);
    assert.equal(result.code, 0, result.stdout + result.stderr);
    assert.ok(existsSync(join(host, "given")), result.stderr);
    assert.equal(readFileSync(join(host, "empty"), "utf8"), "");
    assert.equal(readFileSync(join(host, "marker"), "utf8"), marker);
  });

  test("CVE-2024-23653: a step has no rights that the client did not grant", async () => {
    for (const flag of ["--security=insecure", "--network=host"]) {
      const result = await build(`# syntax=docker/dockerfile:1-labs\nFROM ${busybox}\nRUN ${flag} true\n`);
      assert.notEqual(result.code, 0);
      assert.match(result.stdout + result.stderr, /(security\.insecure|network\.host) is not allowed/);
    }
    const status = await build(`FROM ${busybox}\nRUN grep -E '^(CapEff|Seccomp):' /proc/self/status\n`);
    assert.match(status.stdout, /^CapEff:\s+00000000a80425fb$/m);
    assert.match(status.stdout, /^Seccomp:\s+2$/m);
  });
});

describe("the API", { skip }, () => {
  const suite = useDaemon({ leaves: ["data-root"] });

  test("CVE-2024-41110: no plugin is asked for leave, and a long body is refused whole", async () => {
    const { daemon } = suite;
    const refused = await run([...daemon.commandLine(["--authorization-plugin", "guard"])], {
      timeoutMs: 60_000,
    });
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /authorization-plugin/);
    const body = Buffer.from(
      JSON.stringify({
        Image: busybox,
        Cmd: ["true"],
        HostConfig: { Privileged: true },
        pad: "x".repeat(5_000_000),
      }),
    );
    const head = (length: string): Buffer =>
      Buffer.from(
        `POST /containers/create?name=long HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\n\r\n`,
      );
    const long = await send(daemon.socket, [head(`Content-Length: ${body.length}`), body], {
      answerMs: 60_000,
    });
    assert.equal(long.status, 413);
    // A length of nothing, and the body after it: to the parser that is the next request.
    const empty = await send(daemon.socket, [head("Content-Length: 0"), body.subarray(0, 200)], {
      answerMs: 60_000,
    });
    assert.ok(empty.status === 400 || empty.status === 0, String(empty.status));
    // Two lengths, or a length beside chunks, are how requests are smuggled past a guard.
    for (const length of [
      `Content-Length: 0\r\nContent-Length: ${body.length}`,
      "Content-Length: 2\r\nTransfer-Encoding: chunked",
    ]) {
      const smuggled = await send(daemon.socket, [head(length), Buffer.from("{}")], { answerMs: 60_000 });
      assert.equal(smuggled.status, 400, length);
    }
    assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
  });
});

describe("words that mean harm", { skip }, () => {
  const suite = useDaemon({ leaves: ["data-root"], flags: ["--debug"] });
  const create = async (options: Docker.ContainerCreateOptions): Promise<Docker.Container> =>
    suite.daemon.client.createContainer({ Image: busybox, Cmd: ["true"], ...options });

  test("log injection: output is no record of a log, and requests are no lines of the daemon's", async () => {
    const { daemon } = suite;
    const forged = [
      `{"log":"forged json\\n","stream":"stdout","time":"2001-01-01T00:00:00Z"}`,
      "2001-01-01T00:00:00.000000000+00:00 stdout F forged record",
      `time="2001-01-01T00:00:00Z" level=error msg="forged line"`,
      "\\033[2J\\033]0;title\\007\\r\\0escape",
    ];
    const script = forged.map((line) => `printf '%b\\n' '${line.replaceAll("'", "")}'`).join("; ");
    for (const driver of ["json-file", "local"]) {
      await daemon.dockerOk([
        "run",
        "-d",
        "--log-driver",
        driver,
        "--name",
        driver,
        busybox,
        "sh",
        "-c",
        script,
      ]);
      await daemon.dockerOk(["wait", driver]);
      const logs = (await daemon.docker(["logs", "-t", driver])).stdout.split("\n").slice(0, -1);
      const year = String(new Date().getUTCFullYear());
      assert.ok(logs.length >= forged.length, logs.join("\n"));
      for (const line of logs)
        assert.ok(line.startsWith(year) || !line.startsWith("2001"), `${driver}: ${line}`);
    }
    const path = await daemon.dockerOk(["inspect", "-f", "{{.LogPath}}", "json-file"]);
    for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) {
      const entry = JSON.parse(line) as { time: string };
      assert.ok(!entry.time.startsWith("2001"), line);
    }
    const injected = `\ntime="2001-01-01T00:00:00Z" level=error msg="forged request"`;
    const target = `/containers/${encodeURIComponent(`x${injected}`)}/json?${encodeURIComponent(injected)}=1`;
    const answer = await send(
      daemon.socket,
      [
        Buffer.from(
          `GET ${target} HTTP/1.1\r\nHost: x\r\nUser-Agent: ${encodeURIComponent(injected)}\r\n\r\n`,
        ),
      ],
      { answerMs: 60_000 },
    );
    assert.equal(answer.status, 404);
    await assert.rejects(create({ name: `x${injected}` }), { statusCode: 400 });
    await assert.rejects(create({ Image: `x${injected}` }), { statusCode: 400 });
    await create({ Labels: { [`a${injected}`]: injected }, Env: [`A=${injected}`] }).then((it) => it.start());
    for (const line of (await daemon.log()).split("\n")) {
      assert.doesNotMatch(line, /^time="2001|^\{"log"/);
      // oxlint-disable-next-line no-control-regex -- that is what must not be there
      assert.doesNotMatch(line, /[\u0000-\u0008\u000b-\u001f]/);
    }
  });

  test("environment: one entry is one variable, whatever is in it", async () => {
    const { daemon } = suite;
    const container = await create({
      Env: ["A=one\nLD_PRELOAD=/harm.so\nB=two", "C=$(touch /tmp/harm)`id`", "PATH=/bin"],
      Cmd: ["sh", "-c", "cat /proc/self/environ | tr '\\0' '|'"],
    });
    await container.start();
    await container.wait();
    const printed = await daemon.dockerOk(["logs", container.id]);
    assert.match(printed, /(^|\|)A=one\nLD_PRELOAD=\/harm\.so\nB=two\|/);
    assert.match(printed, /\|C=\$\(touch \/tmp\/harm\)`id`\|/);
    for (const Env of [["A\0B=1"], ["=x"], [""]]) await assert.rejects(create({ Env }), { statusCode: 400 });
  });

  test("labels, names and addresses write no lines into files of the engine's", async () => {
    const { daemon } = suite;
    const line = "\n203.0.113.66 bank.test";
    const wrong: readonly Docker.ContainerCreateOptions[] = [
      { Hostname: `a${line}` },
      { Domainname: `a${line}` },
      { HostConfig: { ExtraHosts: [`a${line}:1.2.3.4`] } },
      { HostConfig: { ExtraHosts: [`a:1.2.3.4${line}`] } },
      { HostConfig: { Dns: [`1.1.1.1\nnameserver 203.0.113.66`] } },
      { HostConfig: { DnsSearch: [`a.test\nnameserver 203.0.113.66`] } },
      { HostConfig: { DnsOptions: [`ndots:1\nnameserver 203.0.113.66`] } },
      { HostConfig: { Links: [`x:a${line}`] } },
      { name: `a${line}` },
    ];
    for (const options of wrong) {
      const made = await create(options).catch((error: unknown) => {
        assert.ok([400, 404].includes((error as { statusCode: number }).statusCode), String(error));
      });
      if (made === undefined) continue;
      // What is taken must come to nothing.
      await made.start().catch(() => {});
      await made.wait();
      const info = await made.inspect();
      for (const path of [info.HostsPath, info.ResolvConfPath, info.HostnamePath].filter((it) => it !== ""))
        assert.doesNotMatch(
          readFileSync(path, "utf8"),
          /^(nameserver )?203\.0\.113\.66/m,
          JSON.stringify(options),
        );
    }
    const labels = {
      "a\n": "b\nc=d",
      'x","y': '"}',
      __proto__: "p",
      "com.docker.compose.project": "\u001b[2J",
    };
    const labelled = await create({ Labels: labels });
    assert.deepEqual((await labelled.inspect()).Config.Labels, { ...labels });
    const listed = await daemon.client.listContainers({ all: true, filters: { label: ["c=d"] } });
    assert.deepEqual(
      listed.map(({ Id }) => Id),
      [],
    );
  });
});

describe("secrets", { skip }, () => {
  const proxied = { HTTP_PROXY: "http://proxy-user:proxy-password@127.0.0.1:9", NO_PROXY: "127.0.0.1" };
  const suite = useDaemon({ leaves: ["data-root"], flags: ["--debug"], env: proxied });

  test("passwords of registries and proxies, and secrets of builds, are nowhere to be read", async () => {
    const { daemon } = suite;
    const secret = "correct-horse-battery";
    const registry = createServer((_, response) => {
      response.writeHead(401, { "WWW-Authenticate": 'Basic realm="x"' }).end("{}");
    });
    registry.listen(0, "127.0.0.1");
    await once(registry, "listening");
    const serveraddress = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
    try {
      const auth = { username: "user", password: secret, serveraddress };
      await assert.rejects(daemon.client.checkAuth(auth));
      await assert.rejects(daemon.client.pull(`${serveraddress}/team/app:1`, { authconfig: auth }));
      await daemon.dockerOk(["tag", busybox, `${serveraddress}/team/app:1`]);
      const pushed = await daemon.client.getImage(`${serveraddress}/team/app:1`).push({ authconfig: auth });
      let text = "";
      for await (const chunk of pushed) text += String(chunk);
      assert.doesNotMatch(text, new RegExp(secret));
      await daemon.dockerOk(["rmi", `${serveraddress}/team/app:1`]);
      await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "600"]);
      await daemon.dockerOk(["exec", "-e", `TOKEN=${secret}`, "box", "true"]);
      const shown = [
        await daemon.dockerOk(["info"]),
        await daemon.dockerOk(["inspect", "box"]),
        await daemon.dockerOk(["events", "--since", "1h", "--until", "0s"]),
        await daemon.log(),
      ];
      for (const text of shown) assert.doesNotMatch(text, /correct-horse-battery|proxy-password/);
      assert.match(shown[0] ?? "", /HTTP Proxy: http:\/\/xxxxx:xxxxx@127\.0\.0\.1:9/);
      for (const word of [secret, Buffer.from(`user:${secret}`).toString("base64")])
        for (const root of [daemon.dataRoot, daemon.execRoot]) {
          const found = await run(["grep", "-rlF", "--devices=skip", word, root], { timeoutMs: 60_000 });
          assert.equal(found.stdout, "", `${word} below ${root}`);
        }
    } finally {
      registry.closeAllConnections();
      registry.close();
    }
  });

  test("of other users: nothing of the engine's is theirs to read", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "box", "-e", "TOKEN=x", busybox, "sleep", "600"]);
    // What tests make is closed to others; only what the engine makes shall keep them out here.
    await chmod(daemon.root, 0o755);
    const nobody = (script: string): Promise<RunResult> =>
      daemon.host.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]);
    assert.equal((await nobody(`ls ${daemon.root} | grep -c .`)).code, 0, "the way to the roots is open");
    // CVE-2021-41091: set-uid programs in layers are nobody's to run.
    assert.notEqual((await nobody(`[ -x ${daemon.dataRoot} ] || [ -r ${daemon.dataRoot} ]`)).code, 0);
    for (const root of [daemon.dataRoot, daemon.execRoot]) {
      const opened = await nobody(`find ${root} -mindepth 1 -readable -print 2>/dev/null`);
      assert.equal(opened.stdout, "", root);
    }
    assert.notEqual(
      (await nobody(`exec 3<>/dev/null; busybox nc local:${daemon.socket} </dev/null`)).code,
      0,
    );
    const mode = await daemon.host.run(["stat", "-c", "%a %U", daemon.socket]);
    assert.equal(mode.stdout.trim(), "660 root");
  });
});
