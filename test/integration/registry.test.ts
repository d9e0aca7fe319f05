/**
 * A daemon, a registry that wants a name and a password, and the programs that people use: gantry's and Docker's command
 * lines, which share what is kept of a login, and skopeo.
 */
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { run, type RunResult } from "../helpers/process.ts";
import { startOnPty } from "../helpers/pty.ts";
import { hasRegistry, startRegistry, type TestRegistry } from "../helpers/registry.ts";
import { useDaemon } from "../helpers/suite.ts";

const why =
  flavour !== "gantry" ? "gantry's own" : (await hasRegistry()) ? false : "docker-registry is not installed";
const user = "robot";
const password = "sesame";
/** `htpasswd -nbB robot sesame`. */
const htpasswd = "robot:$2y$05$CbwP6Gxu4IJHnlEMYJCGEO3pOr5IrUI3X0N6jTkAyI/HpjCP9T4J.";

describe("registries", { skip: why }, () => {
  const suite = useDaemon({ flags: ["--debug"] });
  let registry: TestRegistry;
  let settings = "";

  before(async () => {
    registry = await startRegistry({ host: suite.daemon.host, port: 5000, htpasswd });
    settings = join(suite.daemon.root, "settings");
  });
  beforeEach(async () => {
    await rm(settings, { recursive: true, force: true });
  });
  after(() => registry[Symbol.asyncDispose]());

  const env = (): Record<string, string> => ({ DOCKER_CONFIG: settings });
  const gantry = (...args: string[]): Promise<RunResult> =>
    suite.daemon.gantry(args, { env: env(), timeoutMs: 60_000 });
  const docker = (...args: string[]): Promise<RunResult> =>
    suite.daemon.docker(args, { env: env(), timeoutMs: 60_000 });
  const ok = async (result: Promise<RunResult>): Promise<string> => {
    const { code, stdout, stderr } = await result;
    assert.equal(code, 0, stderr + stdout);
    return stdout;
  };
  const config = async (): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(settings, "config.json"), "utf8")) as Record<string, unknown>;
  const login = (secret = password): Promise<RunResult> =>
    suite.daemon.gantry(["login", "-u", user, "--password-stdin", registry.address], {
      env: env(),
      input: `${secret}\n`,
      timeoutMs: 60_000,
    });
  const skopeo = (...args: string[]): Promise<RunResult> =>
    suite.daemon.host.run(["skopeo", "--insecure-policy", ...args], { timeoutMs: 60_000 });

  test("what one command line keeps of a login, the other uses", async () => {
    const name = `${registry.address}/shared`;
    await ok(docker("tag", busybox, `${name}:1`));
    const refused = await gantry("push", `${name}:1`);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /no basic auth credentials/);

    assert.equal(await ok(login()), "Login Succeeded\n");
    const auth = Buffer.from(`${user}:${password}`).toString("base64");
    assert.deepEqual((await config())["auths"], { [registry.address]: { auth } });
    assert.equal((await stat(join(settings, "config.json"))).mode & 0o777, 0o600);
    assert.match(await ok(docker("push", `${name}:1`)), /1: digest: sha256:[0-9a-f]{64} size: \d+/);
    assert.match(await ok(gantry("push", `${name}:1`)), /Layer already exists\n1: digest: sha256:/);
    await ok(docker("rmi", `${name}:1`));
    assert.match(
      await ok(docker("pull", `${name}:1`)),
      /Status: Downloaded newer image for 127\.0\.0\.1:5000\/shared:1/,
    );
    assert.match(await ok(gantry("pull", `${name}:1`)), /Status: Image is up to date for/);
    assert.equal(await ok(gantry("pull", "-q", `${name}:1`)), `${name}:1\n`);

    assert.equal(
      await ok(docker("logout", registry.address)),
      `Removing login credentials for ${registry.address}\n`,
    );
    assert.match(
      (await gantry("pull", `${name}:1`)).stderr,
      /pull access denied for .* may require 'docker login'/,
    );
    assert.match(
      await ok(
        suite.daemon.docker(["login", "-u", user, "--password-stdin", registry.address], {
          env: env(),
          input: password,
        }),
      ),
      /Login Succeeded/,
    );
    const again = await gantry("login", registry.address);
    assert.equal(again.stdout, "Login Succeeded\n");
    assert.ok(again.stderr.startsWith(`Authenticating with existing credentials... [Username: ${user}]\n`));
    await ok(gantry("pull", `${name}:1`));
    assert.equal(
      await ok(gantry("logout", registry.address)),
      `Removing login credentials for ${registry.address}\n`,
    );
    assert.equal(
      await ok(gantry("logout", registry.address)),
      `Removing login credentials for ${registry.address}\n`,
    );
  });

  test("a wrong password is not kept, and no secret is written down anywhere", async () => {
    const wrong = await login("open");
    assert.equal(wrong.code, 1);
    assert.match(
      wrong.stderr,
      /login attempt to http:\/\/127\.0\.0\.1:5000\/v2\/ failed with status: 401 Unauthorized/,
    );
    await assert.rejects(stat(join(settings, "config.json")));
    await ok(login());
    await ok(docker("tag", busybox, `${registry.address}/quiet:1`));
    await ok(gantry("push", `${registry.address}/quiet:1`));
    const log = await suite.daemon.log();
    for (const secret of [password, Buffer.from(`${user}:${password}`).toString("base64")])
      assert.ok(!log.includes(secret), "a secret is in the daemon's log");
    const both = await gantry("login", "-p", "x", "--password-stdin", registry.address);
    assert.match(both.stderr, /cannot specify both --password and --password-stdin/);
    assert.match(
      (await gantry("login", "--password-stdin")).stderr,
      /the --password-stdin option requires --username to be set/,
    );
    assert.match((await gantry("login", registry.address, "-u", "x")).stderr, /non TTY device/);
  });

  test("asks for name and password at a terminal, and shows only the name", async () => {
    const program = startOnPty(suite.daemon.gantryCommand(["login", registry.address]), { env: env() });
    await program.waitFor(/Username: /);
    program.type(`${user}x\u007F\r`);
    await program.waitFor(/Password: /);
    program.type(`${password}\r`);
    assert.equal(await program.wait(), 0, program.output());
    assert.match(program.output(), /Login Succeeded/);
    assert.ok(!program.output().includes(password));
  });

  test("a credential helper keeps the secret", async () => {
    const bin = join(suite.daemon.root, "bin");
    await mkdir(bin, { recursive: true });
    const helper = join(bin, "docker-credential-box");
    const box = join(suite.daemon.root, "box.json");
    await writeFile(
      helper,
      `#!/bin/sh
case "$1" in
store) cat > ${box} ;;
get) read -r key; [ -f ${box} ] && cat ${box} || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f ${box} ;;
esac
`,
    );
    await chmod(helper, 0o755);
    await mkdir(settings, { recursive: true });
    await writeFile(join(settings, "config.json"), '{"credsStore":"box","psFormat":"table {{.ID}}"}');
    const withBin = { ...env(), PATH: `${bin}:${process.env["PATH"]}` };
    const call = (args: string[], input?: string): Promise<RunResult> =>
      suite.daemon.gantry(args, {
        env: withBin,
        ...(input === undefined ? {} : { input }),
        timeoutMs: 60_000,
      });
    await ok(call(["login", "-u", user, "--password-stdin", registry.address], password));
    assert.deepEqual(await config(), {
      credsStore: "box",
      psFormat: "table {{.ID}}",
      auths: { [registry.address]: {} },
    });
    assert.deepEqual(JSON.parse(await readFile(box, "utf8")), {
      ServerURL: registry.address,
      Username: user,
      Secret: password,
    });
    await ok(docker("tag", busybox, `${registry.address}/helped:1`));
    await ok(call(["push", `${registry.address}/helped:1`]));
    await ok(call(["logout", registry.address]));
    await assert.rejects(stat(box));
    assert.match((await call(["push", `${registry.address}/helped:1`])).stderr, /no basic auth credentials/);
  });

  test("run fetches what is missing, with the credentials that are kept", async () => {
    await ok(login());
    const name = `${registry.address}/team/runs`;
    await ok(docker("tag", busybox, name));
    assert.match(
      await ok(gantry("push", name)),
      /^Using default tag: latest\nThe push refers to repository \[127\.0\.0\.1:5000\/team\/runs\]\n/,
    );
    await ok(docker("rmi", name));
    const ran = await gantry("run", "--rm", name, "echo", "there");
    assert.equal(ran.stdout, "there\n");
    assert.match(
      ran.stderr,
      /^Unable to find image '127\.0\.0\.1:5000\/team\/runs:latest' locally\nlatest: Pulling from team\/runs\n/,
    );
    await ok(docker("tag", name, `${name}:2`));
    assert.equal(await ok(gantry("push", "-aq", name)), `${name}\n`);
    await ok(docker("rmi", name, `${name}:2`));
    await ok(gantry("pull", "-a", name));
    assert.equal((await ok(docker("images", "-q", name))).split("\n").length, 3);
    assert.match(
      (await gantry("pull", "--platform", "linux/s390x", name)).stderr,
      /does not match the specified platform: wanted linux\/s390x/,
    );
    assert.match(
      (await gantry("pull", `${name}:none`)).stderr,
      /manifest for .*:none not found: manifest unknown/,
    );
    const gone = await gantry("pull", "127.0.0.1:1/x");
    assert.match(
      gone.stderr,
      /cannot reach the registry 127\.0\.0\.1:1: connection refused\..*gantry image bootstrap/,
    );
  });

  test("skopeo reads what was pushed, and what skopeo wrote runs here", async (t) => {
    if ((await run(["sh", "-c", "command -v skopeo"])).code !== 0) {
      t.skip("skopeo is not installed");
      return;
    }
    await ok(login());
    const name = `${registry.address}/skopeo/app`;
    await ok(docker("tag", busybox, `${name}:1`));
    const digest = /digest: (\S+)/.exec(await ok(gantry("push", `${name}:1`)))?.[1];
    const credentials = ["--creds", `${user}:${password}`];
    const inspected = JSON.parse(
      await ok(skopeo("inspect", "--tls-verify=false", ...credentials, `docker://${name}:1`)),
    ) as { Digest: string; Architecture: string };
    assert.equal(inspected.Digest, digest);
    const layout = join(suite.daemon.root, "layout");
    const creds = (side: string): string[] => [
      `--${side}-tls-verify=false`,
      `--${side}-creds`,
      `${user}:${password}`,
    ];
    await ok(skopeo("copy", ...creds("src"), `docker://${name}:1`, `oci:${layout}:1`));
    // Back as Docker's schema 2 with gzip: other bytes, the same image.
    await ok(
      skopeo(
        "copy",
        ...creds("dest"),
        "--format",
        "v2s2",
        `oci:${layout}:1`,
        `docker://${registry.address}/back:1`,
      ),
    );
    assert.equal(
      await ok(gantry("run", "--rm", `${registry.address}/back:1`, "echo", "and back")),
      "and back\n",
    );
    const distribution = await suite.daemon.client.getImage(`${registry.address}/back:1`).inspect();
    assert.equal(distribution.RepoTags.includes(`${registry.address}/back:1`), true);
  });
});
