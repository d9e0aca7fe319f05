/** A daemon that is reached over TLS and through ssh, and contexts: with gantry's command line and Docker's. */
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gantryProgram, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { run, start } from "../helpers/process.ts";
import { makeCertificates } from "../helpers/certificates.ts";

describe("a daemon elsewhere", () => {
  let daemon: TestDaemon;
  let directory: string;
  let port: number;
  let plainPort: number;
  const files = (name: string): string[] => [
    `--tlscacert=${directory}/ca.pem`,
    `--tlscert=${directory}/${name}.pem`,
    `--tlskey=${directory}/${name}-key.pem`,
  ];
  const clean = {
    DOCKER_HOST: undefined,
    DOCKER_CONTEXT: undefined,
    GANTRY_HOST: undefined,
    DOCKER_CONFIG: undefined,
  };
  /** Runs a client where the daemon's network is. */
  const client = (words: string[], env: Record<string, string | undefined> = {}, input = "") =>
    run(daemon.host.command(words), { env: { ...clean, HOME: directory, ...env }, input });

  before(async () => {
    daemon = await TestDaemon.prepare({ flags: [] });
    directory = join(daemon.root, "tls");
    await mkdir(directory);
    await makeCertificates(directory);
    const base = 20_000 + (process.pid % 20_000);
    port = base;
    plainPort = base + 1;
  });
  after(() => daemon[Symbol.asyncDispose]());

  test("--tlsverify without its files does not start, and names the file", async () => {
    const words = daemon.commandLine([
      "-H",
      `tcp://127.0.0.1:${port}`,
      "--tlsverify",
      "--tlscacert=/no/ca.pem",
      ...files("server").slice(1),
    ]);
    const result = await run(daemon.host.command(words));
    assert.equal(result.code, 1);
    assert.match(result.stderr, /could not read the file \/no\/ca\.pem for TLS/);
  });

  test("a daemon with --tlsverify starts; its unix socket is 0660", async () => {
    const flags = ["-H", `tcp://0.0.0.0:${port}`, "--tlsverify", ...files("server")];
    Object.assign(daemon, { commandLine: TestDaemon.prototype.commandLine.bind(daemon, flags) });
    await daemon.launch();
    await ensureBusybox(daemon);
    assert.equal((await stat(daemon.socket)).mode & 0o777, 0o660);
    // Clients are asked for a certificate: nothing to warn of.
    assert.doesNotMatch(await daemon.log(), /reachable over the network/);
  });

  for (const [name, program] of [
    ["docker", "docker"],
    ["gantry", gantryProgram],
  ] as const) {
    const host = (): string[] => ["-H", `tcp://127.0.0.1:${port}`];
    const asking = [busybox, "sh", "-c", "cat; echo end"];

    test(`${name}: a client with a certificate is served, also with streams and their ends`, async () => {
      const words = [program, "--tlsverify", ...files("client"), ...host(), "run", "--rm", "-i", ...asking];
      const result = await client(words, {}, "typed\n");
      assert.deepEqual([result.code, result.stdout, result.stderr], [0, "typed\nend\n", ""]);
    });

    test(`${name}: DOCKER_TLS_VERIFY and DOCKER_CERT_PATH`, async () => {
      const env = {
        DOCKER_TLS_VERIFY: "1",
        DOCKER_CERT_PATH: `${directory}/certs`,
        DOCKER_HOST: `tcp://127.0.0.1:${port}`,
      };
      const result = await client([program, "version", "-f", "{{.Server.Os}}"], env);
      assert.deepEqual([result.code, result.stdout.trim()], [0, "linux"]);
    });

    test(`${name}: --tls does not look who the daemon is`, async () => {
      const flags = ["--tls", ...files("client"), ...host()];
      const result = await client([program, ...flags, "version", "-f", "{{.Server.Os}}"]);
      assert.deepEqual([result.code, result.stdout.trim()], [0, "linux"]);
    });

    test(`${name}: a stranger, somebody without a certificate or without TLS are turned away`, async () => {
      const wrong: string[][] = [
        ["--tlsverify", ...files("stranger")],
        ["--tls", `--tlscacert=${directory}/ca.pem`],
        [],
        ["--tlsverify", `--tlscacert=${directory}/other-ca.pem`, ...files("client").slice(1)],
      ];
      for (const flags of wrong) {
        const result = await client([program, ...flags, ...host(), "ps"]);
        assert.equal(result.code, 1, flags.join(" "));
        assert.match(
          result.stderr,
          /certificate|[Cc]annot connect|HTTP request to an HTTPS|TLS|EOF|reset/,
          flags.join(" "),
        );
      }
    });

    test(`${name}: --tlsverify without an authority names the file`, async () => {
      const result = await client([program, "--tlsverify", ...host(), "ps"], { HOME: daemon.root });
      assert.equal(result.code, 1);
      assert.match(result.stderr, /open .*\.docker\/ca\.pem: no such file or directory/);
    });
  }

  test("a TCP socket without TLS warns, one on loopback does not", async () => {
    const other = await TestDaemon.prepare({
      host: daemon.host,
      bridge: "gt-rigtcp",
      bip: "10.204.9.1/24",
      flags: ["-H", `tcp://0.0.0.0:${plainPort}`, "-H", `tcp://127.0.0.1:${plainPort + 1}`],
    });
    await using _ = other;
    await other.launch();
    const warnings = (await other.log())
      .split("\n")
      .filter((line) => line.includes("reachable over the network"));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /without encryption or authentication.*0\.0\.0\.0/);
  });

  test("contexts: both command lines have the same", async () => {
    const home = { HOME: join(daemon.root, "home") };
    await mkdir(home.HOME);
    const both = async (words: string[], pattern: RegExp): Promise<void> => {
      for (const program of ["docker", gantryProgram]) {
        const result = await client([program, ...words], home);
        assert.match(result.stdout + result.stderr, pattern, `${program} ${words.join(" ")}`);
      }
    };
    const certificates = ["ca", "cert", "key"].map((key) => `${key}=${directory}/certs/${key}.pem`).join(",");
    const created = await client(
      [
        gantryProgram,
        "context",
        "create",
        "lab",
        "--description",
        "the lab",
        "--docker",
        `host=tcp://127.0.0.1:${port},${certificates}`,
      ],
      home,
    );
    assert.deepEqual(
      [created.code, created.stdout, created.stderr],
      [0, "lab\n", 'Successfully created context "lab"\n'],
    );
    const theirs = await client(
      ["docker", "context", "create", "local", "--docker", `host=unix://${daemon.socket}`],
      home,
    );
    assert.equal(theirs.code, 0);
    for (const name of ["lab", "local"]) {
      await both(["--context", name, "version", "-f", "{{.Server.Os}}"], /^linux$/m);
      await both(
        ["context", "inspect", name, "-f", "{{.Name}} {{.Endpoints.docker.Host}}"],
        new RegExp(`^${name} (tcp|unix)://`),
      );
    }
    await both(["context", "ls"], /^default \* .*\nlab +the lab +tcp:.*\nlocal +unix:/m);
    await both(["context", "ls", "-q"], /^default\nlab\nlocal\n$/);
    await both(["context", "show"], /^default\n$/);
    const used = await client([gantryProgram, "context", "use", "lab"], home);
    assert.deepEqual([used.stdout, used.stderr], ["lab\n", 'Current context is now "lab"\n']);
    await both(["context", "show"], /^lab\n$/);
    await both(["version", "-f", "{{.Server.Os}}"], /^linux$/m);
    await both(["context", "rm", "lab"], /context "lab" is in use, set -f flag to force remove/);
    await both(["context", "create", "lab", "--docker", "host=unix:///x"], /context "lab" already exists/);
    await both(
      ["context", "create", "default", "--docker", "host=unix:///x"],
      /"default" is a reserved context name/,
    );
    await both(["context", "create", "x y", "--docker", "host=unix:///x"], /context name "x y" is invalid/);
    await both(["context", "use", "nobody"], /context "nobody": context not found/);
    await both(["context", "rm", "default"], /context "default" cannot be removed/);
    await both(["--context", "lab", "-H", "unix:///x", "ps"], /conflicting options/);
    assert.match(
      (await client([gantryProgram, "context", "use", "local"], { ...home, DOCKER_HOST: "unix:///x" }))
        .stderr,
      /Warning: DOCKER_HOST environment variable overrides the active context/,
    );
    // Docker's archive is read by gantry, and gantry's by Docker.
    for (const [from, to] of [
      ["docker", gantryProgram],
      [gantryProgram, "docker"],
    ] as const) {
      const archive = join(daemon.root, `${from === "docker" ? "docker" : "gantry"}.dockercontext`);
      assert.equal((await client([from, "context", "export", "lab", archive], home)).code, 0);
      assert.equal((await client([to, "context", "import", "copy", archive], home)).code, 0);
      await both(["--context", "copy", "version", "-f", "{{.Server.Os}}"], /^linux$/m);
      assert.equal((await client([from, "context", "rm", "copy"], home)).code, 0);
    }
    assert.equal(
      (await client([gantryProgram, "context", "update", "local", "--description", "here"], home)).code,
      0,
    );
    await both(["context", "inspect", "local", "-f", "{{json .Metadata}}"], /"here"/);
    assert.equal((await client([gantryProgram, "context", "use", "default"], home)).code, 0);
    assert.doesNotMatch(await readFile(join(home.HOME, ".docker/config.json"), "utf8"), /currentContext/);
  });

  describe("ssh", () => {
    let path: string;
    /** A stand-in for the program ssh: writes its arguments down, and runs the command as another machine's shell would. */
    before(async () => {
      path = join(daemon.root, "bin");
      await mkdir(path);
      const script = `#!/bin/sh
echo "$@" >> ${daemon.root}/ssh-arguments
while [ "$1" != -- ]; do shift; done
shift 2
export GANTRY_HOST=unix://${daemon.socket} PATH=${path}:$PATH
exec sh -c "$*"
`;
      await writeFile(join(path, "ssh"), script);
      await chmod(join(path, "ssh"), 0o755);
      // The other machine has gantry, under Docker's name too.
      await symlink(gantryProgram, join(path, "gantry"));
      await symlink(gantryProgram, join(path, "docker"));
    });
    const env = (): Record<string, string> => ({ PATH: `${path}:${process.env["PATH"]}` });
    const docker = async (): Promise<string> => (await run(["sh", "-c", "command -v docker"])).stdout.trim();

    for (const name of ["gantry", "docker"] as const)
      test(`${name} -H ssh://: requests, streams and the end of input`, async () => {
        const program = name === "gantry" ? gantryProgram : await docker();
        const words = [
          program,
          "-H",
          "ssh://me@far.example:2222",
          "run",
          "--rm",
          "-i",
          busybox,
          "sh",
          "-c",
          "cat; echo end",
        ];
        const result = await client(words, env(), "typed\n");
        assert.deepEqual([result.code, result.stdout], [0, "typed\nend\n"], result.stderr);
        const seen = (await readFile(join(daemon.root, "ssh-arguments"), "utf8")).trim().split("\n").at(-1)!;
        assert.match(seen, /-l me -p 2222 .*-- far\.example .*system dial-stdio/);
      });

    test("a socket's path goes along, and what ssh says is told", async () => {
      const words = [
        gantryProgram,
        "-H",
        `ssh://far.example${daemon.socket}`,
        "version",
        "-f",
        "{{.Server.Os}}",
      ];
      assert.equal((await client(words, env())).stdout, "linux\n");
      await writeFile(
        join(path, "ssh"),
        "#!/bin/sh\necho 'ssh: Could not resolve hostname far.example' >&2\nexit 255\n",
      );
      const failed = await client([...words.slice(0, 3), "ps"], env());
      assert.equal(failed.code, 1);
      assert.match(
        failed.stderr,
        /ssh ended with exit code 255: ssh: Could not resolve hostname far\.example/,
      );
    });

    for (const [address, message] of [
      ["ssh://me:secret@host", /password/],
      ["ssh://-oProxyCommand=x", /hyphen/],
      ["ssh://", /use ssh:\/\//],
    ] as const)
      test(`${address} is refused`, async () => {
        const result = await client([gantryProgram, "-H", address, "ps"], env());
        assert.equal(result.code, 1);
        assert.match(result.stderr, message);
      });
  });

  test("logs that are followed over TLS end with the container", async () => {
    const words = ["docker", "--tlsverify", ...files("client"), "-H", `tcp://127.0.0.1:${port}`];
    const id = (
      await client([...words, "run", "-d", busybox, "sh", "-c", "echo one; sleep 1; echo two"])
    ).stdout.trim();
    const following = start(daemon.host.command([...words, "logs", "-f", id]), { env: clean });
    assert.equal((await following.wait(20_000)).stdout, "one\ntwo\n");
  });
});
