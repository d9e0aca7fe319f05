import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Socket } from "node:net";
import { FakeDaemon, finished, frame, type FakeCall, type Handler } from "./fake-daemon.fixture.ts";

const notFound = (call: FakeCall, what: string): void => call.json(404, { message: `No such ${what}` });

interface Program {
  /** What the program does with its streams once it was started. */
  readonly main: (socket: Socket) => void | Promise<void>;
  readonly exitCode?: number;
  readonly startError?: string;
}

/** A daemon whose only container runs `program`. */
function container(program: Program, others: Handler = (call) => notFound(call, "route")): Handler {
  let socket: Socket | undefined;
  let wait: FakeCall | undefined;
  return async (call) => {
    if (call.line.startsWith("POST /containers/create")) call.json(201, { Id: "id", Warnings: ["careful"] });
    else if (call.line.includes("/attach")) socket = call.upgrade();
    else if (call.line.includes("/wait")) {
      wait = call;
      call.response.writeHead(200).flushHeaders();
    } else if (call.line.endsWith("/start")) {
      if (program.startError !== undefined) return call.json(400, { message: program.startError });
      call.response.writeHead(204).end();
      await program.main(socket!);
      socket!.end();
      wait!.response.end(JSON.stringify({ StatusCode: program.exitCode ?? 0, Error: null }));
    } else await others(call);
  };
}

test("run attaches and waits before it starts, and hands on streams and the exit code", async () => {
  await using daemon = await FakeDaemon.start(
    container({
      main: (socket) => void socket.write(Buffer.concat([frame(1, "out\n"), frame(2, "err\n")])),
      exitCode: 42,
    }),
  );
  const result = await daemon.run("run", "--rm", "--name", "n", "image", "command");
  assert.deepEqual(result, { code: 42, signal: null, stdout: "out\n", stderr: "WARNING: careful\nerr\n" });
  assert.deepEqual(daemon.lines.slice(0, 3).sort(), [
    "POST /containers/create?name=n",
    "POST /containers/id/attach?stderr=1&stdout=1&stream=1",
    "POST /containers/id/wait?condition=removed",
  ]);
  assert.equal(daemon.lines[3], "POST /containers/id/start");
});

test("run pulls an image that is missing and creates again", async () => {
  let isThere = false;
  const program = container({ main: (socket) => void socket.write(frame(1, "ran\n")) }, (call) => {
    if (!call.line.startsWith("POST /images/create")) return notFound(call, "route");
    isThere = true;
    for (const message of [
      { status: "Pulling from x", id: "1" },
      { status: "Downloading", id: "aa", progressDetail: { current: 5, total: 9 } },
      { status: "Pull complete", id: "aa", progressDetail: {} },
    ]) {
      call.response.write(`${JSON.stringify(message)}\r\n`);
    }
    call.response.end();
  });
  await using daemon = await FakeDaemon.start((call) =>
    call.line.startsWith("POST /containers/create") && !isThere
      ? notFound(call, "image: x:1")
      : program(call),
  );
  const result = await daemon.run("run", "x:1");
  assert.equal(result.code, 0);
  assert.equal(result.stdout, "ran\n");
  assert.equal(
    result.stderr,
    "Unable to find image 'x:1' locally\n1: Pulling from x\naa: Pull complete\nWARNING: careful\n",
  );
  assert.equal(daemon.lines[1], "POST /images/create?fromImage=docker.io%2Flibrary%2Fx&tag=1");
  isThere = false;
  assert.equal((await daemon.run("run", "-q", "x:1")).stderr, "WARNING: careful\n");
  isThere = false;
  const never = await daemon.run("run", "--pull", "never", "x:1");
  assert.equal(never.code, 125);
  assert.match(never.stderr, /^gantry: Error response from daemon: No such image: x:1\n/);
});

test("a start that fails gives the exit code that its words mean", async () => {
  const table: [message: string, code: number][] = [
    ['exec: "x": executable file not found in $PATH', 127],
    ["exec /x: no such file or directory", 127],
    ['exec: "/etc": permission denied', 126],
    ["exec: /etc: is a directory", 126],
    ["the port is taken", 125],
  ];
  for (const [startError, code] of table) {
    await using daemon = await FakeDaemon.start(container({ main: () => {}, startError }));
    const result = await daemon.run("run", "image");
    assert.equal(result.code, code, startError);
    assert.ok(result.stderr.includes(`Error response from daemon: ${startError}\n`));
  }
});

test("all output arrives at a reader that is slow, and none is lost at the end", async () => {
  const total = 3_000_000;
  await using daemon = await FakeDaemon.start(
    container({
      main: async (socket) => {
        const data = Buffer.alloc(total, "0123456789abcdef\n");
        for (let at = 0; at < total; at += 40_000) {
          if (!socket.write(frame(1, data.subarray(at, at + 40_000)))) await delay(1);
        }
      },
    }),
  );
  const child = daemon.spawn("run", "image");
  child.stdin!.end();
  child.stdout!.pause();
  await delay(600);
  const end = finished(child);
  child.stdout!.resume();
  const { code, stdout } = await end;
  assert.equal(code, 0);
  const digest = (data: string | Buffer): string => createHash("sha256").update(data).digest("hex");
  assert.equal(stdout.length, total);
  assert.equal(digest(stdout), digest(Buffer.alloc(total, "0123456789abcdef\n")));
});

test("a reader that goes away ends the program in silence", async () => {
  await using daemon = await FakeDaemon.start((call) => {
    if (call.line.endsWith("/json")) return call.json(200, { Id: "id", Config: { Tty: false } });
    call.response.writeHead(200);
    const more = (): void => {
      while (call.response.write(frame(1, Buffer.alloc(8000, "line\n"))));
    };
    call.response.on("drain", more);
    more();
  });
  const child = daemon.spawn("logs", "-f", "id");
  child.stdout!.once("data", () => child.stdout!.destroy());
  const { code, stderr } = await finished(child);
  assert.equal(code, 141);
  assert.equal(stderr, "");
});

test("input is passed on to its end, and output goes on after it", async () => {
  let received = "";
  await using daemon = await FakeDaemon.start(
    container({
      main: async (socket) => {
        for await (const chunk of socket.iterator({ destroyOnReturn: false })) received += String(chunk);
        socket.write(frame(1, `${received.length} bytes\n`));
      },
    }),
  );
  const child = daemon.spawn("run", "-i", "image");
  child.stdin!.end("x".repeat(500_000));
  const { code, stdout } = await finished(child);
  assert.deepEqual([code, stdout], [0, "500000 bytes\n"]);
});

test("a daemon that dies in the middle is told, with an exit code of its own", async () => {
  await using daemon = await FakeDaemon.start(async (call) => {
    if (call.line.startsWith("POST /containers/create")) return call.json(201, { Id: "id", Warnings: [] });
    if (call.line.includes("/attach")) {
      const socket = call.upgrade();
      setTimeout(() => socket.end(frame(1, "first\n")), 30);
    } else if (call.line.includes("/wait")) {
      call.response.writeHead(200).flushHeaders();
      setTimeout(() => call.response.destroy(), 60);
    } else call.response.writeHead(204).end();
  });
  const result = await daemon.run("run", "image");
  assert.equal(result.code, 125);
  assert.equal(result.stdout, "first\n");
  assert.match(result.stderr, /^error waiting for container: The daemon('s answer cannot be read| closed)/);
});

test("an error that the daemon puts into the stream is shown", async () => {
  await using daemon = await FakeDaemon.start(
    container({ main: (socket) => void socket.write(frame(3, "disk full")) }),
  );
  const result = await daemon.run("run", "image");
  assert.deepEqual(
    [result.code, result.stderr],
    [1, "WARNING: careful\nerror from daemon in stream: disk full\n"],
  );
});

test("signals reach the program by name", async () => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const kills: string[] = [];
  await using daemon = await FakeDaemon.start(
    container(
      { main: (socket) => (void socket.write(frame(1, "ready\n")), ended), exitCode: 143 },
      (call) => {
        const signal = /\/kill\?signal=(\w+)/.exec(call.line)?.[1];
        if (signal === undefined) return notFound(call, "route");
        kills.push(signal);
        call.response.writeHead(204).end();
        if (signal === "TERM") end();
      },
    ),
  );
  const child = daemon.spawn("run", "image");
  const result = finished(child);
  await new Promise((resolve) => child.stdout!.once("data", resolve));
  for (const signal of ["SIGUSR1", "SIGWINCH", "SIGHUP", "SIGINT", "SIGTERM"] as const) {
    child.kill(signal);
    await delay(40);
  }
  assert.equal((await result).code, 143);
  assert.deepEqual(kills, ["USR1", "WINCH", "HUP", "INT", "TERM"]);
});

test("without the proxy the third signal ends the client, and the program is not told", async () => {
  await using daemon = await FakeDaemon.start(
    container({ main: (socket) => (void socket.write(frame(1, "ready\n")), new Promise(() => {})) }),
  );
  const child = daemon.spawn("run", "--sig-proxy=false", "image");
  const result = finished(child);
  await new Promise((resolve) => child.stdout!.once("data", resolve));
  for (let count = 0; count < 3; count += 1) {
    assert.equal(child.exitCode, null);
    child.kill("SIGINT");
    await delay(60);
  }
  const { code, stderr } = await result;
  assert.equal(code, 1);
  assert.match(stderr, /got 3 SIGTERM\/SIGINTs, forcefully exiting/);
  assert.ok(!daemon.lines.some((line) => line.includes("/kill")));
});

test("commands on several names go on after a failure and print what they did", async () => {
  await using daemon = await FakeDaemon.start(async (call) => {
    // The first name takes longest: the order of output is that of the names all the same.
    if (call.line.includes("/a")) await delay(60);
    if (call.line.includes("/bad")) notFound(call, "container: bad");
    else call.response.writeHead(204).end();
  });
  const expected = {
    code: 1,
    signal: null,
    stdout: "a\nb\n",
    stderr: "Error response from daemon: No such container: bad\n",
  };
  for (const command of ["stop", "restart", "kill", "rm", "pause", "unpause"]) {
    assert.deepEqual(await daemon.run(command, "a", "bad", "b"), expected, command);
  }
  assert.deepEqual(await daemon.run("start", "a", "bad", "b"), {
    ...expected,
    stderr: `${expected.stderr}Error: failed to start containers: bad\n`,
  });
  assert.deepEqual(await daemon.run("rm", "-f", "bad"), { ...expected, code: 0, stdout: "" });
});

test("flags become the query that Docker's command line sends", async () => {
  await using daemon = await FakeDaemon.start((call) => notFound(call, "thing"));
  const table: [words: string, line: string][] = [
    ["stop -t 5 -s INT a", "POST /containers/a/stop?signal=INT&t=5"],
    ["stop --time 3 a", "POST /containers/a/stop?t=3"],
    ["stop -t -1 a", "POST /containers/a/stop?t=-1"],
    ["restart -t 0 a", "POST /containers/a/restart?t=0"],
    ["kill -s 9 a", "POST /containers/a/kill?signal=9"],
    ["kill a", "POST /containers/a/kill"],
    ["rm -f -v a", "DELETE /containers/a?force=1&v=1"],
    ["rm -l a/b", "DELETE /containers/a/b?link=1"],
    ["rmi -f --no-prune a", "DELETE /images/a?force=1&noprune=1"],
    ["tag a b:2", "POST /images/a/tag?repo=docker.io%2Flibrary%2Fb&tag=2"],
    ["top a -ef x", "GET /containers/a/top?ps_args=-ef%20x"],
    ["rename a b", "POST /containers/a/rename?name=b"],
    ["save a b", "GET /images/get?names=a&names=b"],
    ["load", "POST /images/load?quiet=1"],
    ["import -c X -m m - a:b", "POST /images/create?changes=X&fromSrc=-&message=m&repo=a%3Ab"],
    ["pull -a a", "POST /images/create?fromImage=docker.io%2Flibrary%2Fa"],
    [
      "pull --platform linux/arm64/v8 a:b",
      "POST /images/create?fromImage=docker.io%2Flibrary%2Fa&platform=linux%2Farm64&tag=b",
    ],
    ["wait a", "POST /containers/a/wait"],
  ];
  await Promise.all(
    table.map(async ([words, line]) => {
      const { stderr } = await daemon.run(...words.split(" "));
      assert.ok(daemon.lines.includes(line), `${words}: ${daemon.lines.join(", ")}`);
      assert.match(stderr, /Error response from daemon: No such thing/, words);
    }),
  );
});

test("save leaves a whole file or none", async () => {
  let isBroken = false;
  await using daemon = await FakeDaemon.start((call) => {
    call.response.writeHead(200);
    call.response.write("archive");
    if (isBroken) setTimeout(() => call.response.destroy(), 30);
    else call.response.end();
  });
  assert.equal((await daemon.run("save", "-o", "a.tar", "x")).code, 0);
  assert.equal(readFileSync(join(daemon.directory, "a.tar"), "utf8"), "archive");
  isBroken = true;
  assert.notEqual((await daemon.run("save", "-o", "b.tar", "x")).code, 0);
  assert.notEqual((await daemon.run("save", "-o", "a.tar", "x")).code, 0);
  assert.equal(readFileSync(join(daemon.directory, "a.tar"), "utf8"), "archive");
  assert.deepEqual(
    readdirSync(daemon.directory).filter((name) => name.includes("tar")),
    ["a.tar"],
  );
  assert.match(
    (await daemon.run("save", "-o", "no/x", "x")).stderr,
    /^failed to save image: invalid output path: stat no: no such file or directory\n$/,
  );
});

test("a cidfile is written, never overwritten, and not left behind by a failure", async () => {
  let fails = true;
  await using daemon = await FakeDaemon.start((call) =>
    fails ? call.json(409, { message: "no" }) : call.json(201, { Id: "the-id", Warnings: null }),
  );
  const path = join(daemon.directory, "cid");
  assert.equal((await daemon.run("create", "--cidfile", "cid", "image")).code, 1);
  assert.ok(!existsSync(path));
  fails = false;
  assert.equal((await daemon.run("create", "--cidfile", "cid", "image")).stdout, "the-id\n");
  assert.equal(readFileSync(path, "utf8"), "the-id");
  writeFileSync(path, "old");
  const requests = daemon.lines.length;
  const refused = await daemon.run("run", "--cidfile", "cid", "image");
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /container ID file found/);
  assert.equal(readFileSync(path, "utf8"), "old");
  assert.equal(daemon.lines.length, requests);
});

test("exec hands on its streams and its exit code", async () => {
  await using daemon = await FakeDaemon.start(async (call) => {
    if (call.line === "POST /containers/c/exec") return call.json(201, { Id: "e" });
    if (call.line === "GET /exec/e/json") return call.json(200, { Running: false, ExitCode: 7 });
    if (call.line !== "POST /exec/e/start") return notFound(call, "container: x");
    const socket = call.upgrade();
    socket.write(frame(2, "err\n"));
    socket.end(frame(1, "out\n"));
  });
  assert.deepEqual(await daemon.run("exec", "c", "ls"), {
    code: 7,
    signal: null,
    stdout: "out\n",
    stderr: "err\n",
  });
  assert.equal((await daemon.run("exec", "x", "ls")).code, 1);
  assert.match((await daemon.run("exec", "-it", "c", "ls")).stderr, /^the input device is not a TTY\n$/);
});

test("what is wrong with a command line is told before anything is created", async () => {
  await using daemon = await FakeDaemon.start((call) => notFound(call, "route"));
  const table: [words: string, code: number, message: RegExp][] = [
    ["run --detach-keys no,such image", 1, /invalid detach keys/],
    ["run -it image", 1, /the input device is not a TTY/],
    ["run -d -a stdout image", 1, /cannot specify both --attach and --detach/],
    ["run --pull sometimes image", 125, /invalid pull option: 'sometimes'/],
    [
      "run --platform a/b/c/d image",
      125,
      /error parsing specified platform: "a\/b\/c\/d": cannot parse platform specifier: invalid argument/,
    ],
    ["run --env-file nope image", 125, /open nope: no such file or directory/],
    ["run IMAGE", 125, /must be lowercase/],
    ["create --rm --restart always image", 125, /cannot specify both --restart and --rm/],
    ["attach --detach-keys x,, a", 1, /No such|invalid detach keys/],
    ["exec --detach-keys x,, a ls", 1, /invalid detach keys/],
    ["start -a a b", 1, /cannot start and attach multiple containers/],
    ["rm /", 1, /container name cannot be empty/],
    ["tag a B", 1, /Error parsing reference: "B" is not a valid repository\/tag/],
    ["pull -a a:b", 1, /tag can't be used with --all-tags/],
    ["load -i nope", 1, /open nope: no such file or directory/],
    ["import nope", 1, /open nope: no such file or directory/],
  ];
  await Promise.all(
    table.map(async ([words, code, message]) => {
      const result = await daemon.run(...words.split(" "));
      assert.equal(result.code, code, `${words}: ${result.stderr}`);
      assert.match(result.stderr, message);
      assert.equal(result.stdout, "");
    }),
  );
  assert.deepEqual(
    daemon.lines.filter((line) => !/\/(wait|json)$/.test(line)),
    [],
  );
});
