/** What a build reads with its client's keys: registries by tokens that the client gets, repositories by its agent and secrets. */
import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildxConfig, findBuildx, useBuildx } from "../helpers/buildx.ts";
import { debianFiles } from "../helpers/debian-files.ts";
import { busybox } from "../helpers/images.ts";
import { eventually, mustRun, run, type RunningProgram, type RunResult } from "../helpers/process.ts";
import { hasRegistry, startRegistry } from "../helpers/registry.ts";
import { useDaemon } from "../helpers/suite.ts";

const plugin = await findBuildx();
const timeoutMs = 120_000;
const has = async (...programs: string[]): Promise<boolean> =>
  (await run(["sh", "-c", programs.map((name) => `command -v ${name}`).join("&&")])).code === 0;
const registrySkip = !(await hasRegistry()) && "docker-registry is not installed";
const gitSkip = !(await has("git")) && "git is not installed";
const helper = (name: string): string => join(import.meta.dirname, "../helpers", name);

/** A small SSH server: installed, or Debian's files of it. */
async function findSshServer(): Promise<{ program: string; libraries: string; makeKey: string } | undefined> {
  if (await has("dropbear", "dropbearkey"))
    return { program: "dropbear", libraries: "", makeKey: "dropbearkey" };
  try {
    const root = await debianFiles("bookworm", ["dropbear-bin", "libtomcrypt1", "libtommath1"]);
    return {
      program: join(root, "usr/sbin/dropbear"),
      libraries: join(root, "usr/lib/x86_64-linux-gnu"),
      makeKey: join(root, "usr/bin/dropbearkey"),
    };
  } catch {
    return undefined;
  }
}

const ssh = await findSshServer();
const sshSkip =
  ssh === undefined
    ? "an SSH server cannot be had"
    : !(await has("ssh", "ssh-agent", "ssh-add", "ssh-keygen", "ssh-keyscan")) &&
      "openssh-client is not installed";

describe(
  "a build with its client's keys",
  { skip: plugin === undefined && "docker-buildx cannot be had" },
  () => {
    const suite = useDaemon({ leaves: ["data-root", "records"] });
    const at = useBuildx(plugin);

    /** Beside the daemon: the client asks the token service itself. */
    const buildx = (args: readonly string[], env: Record<string, string> = {}): Promise<RunResult> => {
      const { host } = suite.daemon;
      const words = ["buildx", "build", "--builder", "default", "--progress=plain", ...args];
      return host.run(suite.daemon.dockerCommand(words), {
        timeoutMs,
        env: { ...at.env, ...env },
      });
    };

    async function ok(args: readonly string[], env?: Record<string, string>): Promise<string> {
      const result = await buildx(args, env);
      assert.equal(result.code, 0, `${args.join(" ")}\n${result.stdout}${result.stderr}`);
      return result.stdout + result.stderr;
    }

    describe("a registry with a token service", { skip: registrySkip }, () => {
      let tokens: RunningProgram;
      let registry: Awaited<ReturnType<typeof startRegistry>>;
      const address = "127.0.0.1:5006";

      before(async () => {
        const { host } = suite.daemon;
        tokens = host.start([process.execPath, helper("token-server.ts")]);
        await tokens.waitForOutput(/^auth: .*\n/, 60_000);
        const settings = /^auth: .*$/m.exec(tokens.stdout())![0];
        registry = await startRegistry({ host, port: 5006, config: settings });
      });
      after(async () => {
        await registry[Symbol.asyncDispose]();
        tokens.process.kill("SIGTERM");
        await tokens.wait();
      });

      const login = (password: string, directory = at.config): Promise<void> =>
        writeFile(
          join(directory, "config.json"),
          JSON.stringify({
            auths: { [address]: { auth: Buffer.from(`robot:${password}`).toString("base64") } },
          }),
        );
      /** Who asked for tokens since the last look. */
      let seen = 0;
      const askers = (): string[] => {
        const found = [...tokens.stdout().matchAll(/^asked by (.*?): (.*)$/gm)].map(
          ([, client, scopes]) => `${client} ${scopes}`,
        );
        const fresh = found.slice(seen);
        seen = found.length;
        return fresh;
      };

      test("the client gets the tokens, for what is pushed, read and cached", async () => {
        await login("sesame");
        const made = await at.context("tokens", `FROM ${busybox}\nRUN echo made > /made\n`);
        const cache = `type=registry,ref=${address}/secret/cache`;
        await ok(["--cache-to", cache, "-o", `type=image,name=${address}/secret/app,push=true`, made]);
        // Docker's client pushes by itself, with the password; what the build writes and reads is the builder's.
        assert.deepEqual(
          askers().filter((line) => line.includes("secret/cache")),
          ["buildkit-client repository:secret/cache:pull,push"],
        );
        await suite.daemon.dockerOk(["rmi", "-f", `${address}/secret/app`]);
        const above = await at.context("above", `FROM ${address}/secret/app\nRUN cat /made\n`);
        assert.match(await ok(["--cache-from", cache, "--no-cache", above]), /\d made$/m);
        assert.ok(askers().includes("buildkit-client repository:secret/app:pull"), tokens.stdout());
      });

      test("tokens are kept for the same client, and for no other", async () => {
        await login("sesame");
        const directory = await at.context("kept", `FROM ${address}/secret/app\nRUN true\n`);
        await ok(["--pull", directory]);
        askers();
        await ok(["--pull", directory]);
        assert.deepEqual(askers(), []);
        const other = await buildxConfig(plugin!);
        try {
          await login("wrong", other);
          const refused = await buildx(["--pull", directory], { DOCKER_CONFIG: other });
          assert.equal(refused.code, 1, refused.stderr);
          assert.match(refused.stderr, /failed to authorize: .*401/);
          await writeFile(join(other, "config.json"), "{}");
          const unknown = await buildx(["--pull", directory], { DOCKER_CONFIG: other });
          assert.equal(unknown.code, 1, unknown.stderr);
          assert.match(unknown.stderr, /denied|authentication required|insufficient_scope/);
        } finally {
          await rm(other, { recursive: true, force: true });
        }
      });

      test("a client that gets no tokens gives its password", async () => {
        await login("sesame");
        const directory = await at.context("password", `FROM ${address}/secret/app\nRUN true\n`);
        askers();
        await ok(["--pull", directory], { BUILDKIT_NO_CLIENT_TOKEN: "1" });
        assert.ok(askers().every((line) => !line.startsWith("buildkit-client ")));
      });
    });

    describe("repositories", { skip: gitSkip }, () => {
      let bare: string;

      before(async () => {
        const repository = join(at.work, "repository");
        await mkdir(repository);
        const git = (...args: string[]): Promise<RunResult> =>
          mustRun(["git", "-c", "user.name=x", "-c", "user.email=x@localhost", ...args], { cwd: repository });
        await writeFile(join(repository, "Dockerfile"), `FROM ${busybox}\nCOPY . /src\nRUN cat /src/file\n`);
        await writeFile(join(repository, "file"), "of the repository\n");
        await git("init", "-q", "-b", "main", ".");
        await git("add", ".");
        await git("commit", "-qm", "one");
        bare = join(at.work, "served/app.git");
        await mkdir(join(at.work, "served"));
        await mustRun(["git", "clone", "-q", "--bare", repository, bare]);
        await mustRun(["git", "-C", bare, "update-server-info"]);
      });

      const secrets: readonly (readonly [string, string, string])[] = [
        ["GIT_AUTH_TOKEN", "a-token", `Basic ${Buffer.from("x-access-token:a-token").toString("base64")}`],
        ["GIT_AUTH_HEADER", "Bearer a-header", "Bearer a-header"],
        [
          "GIT_AUTH_TOKEN.127.0.0.1",
          "for-one",
          `Basic ${Buffer.from("x-access-token:for-one").toString("base64")}`,
        ],
      ];
      for (const [id, value, header] of secrets)
        test(`over HTTP with the secret ${id}`, async () => {
          const wanted = header.replace(/^Basic/, "basic");
          const server = suite.daemon.host.start([
            process.execPath,
            helper("serve-files.ts"),
            join(at.work, "served"),
            wanted,
          ]);
          try {
            await server.waitForOutput(/^\d+\n/, 60_000);
            const url = `http://127.0.0.1:${server.stdout().trim()}/app.git`;
            const secret = ["--secret", `id=${id},env=THE_SECRET`];
            assert.match(
              await ok(["--no-cache", ...secret, url], { THE_SECRET: value }),
              /\d of the repository$/m,
            );
            const adding = await at.context("add-http", `FROM ${busybox}\nADD ${url} /r\nRUN cat /r/file\n`);
            assert.match(
              await ok(["--no-cache", ...secret, adding], { THE_SECRET: value }),
              /\d of the repository$/m,
            );
            const without = await buildx([url]);
            assert.equal(without.code, 1);
            assert.match(
              without.stderr,
              /git ls-remote failed: .*(could not read Username|Authentication failed)/s,
            );
            const wrong = await buildx([...secret, url], { THE_SECRET: "wrong-value" });
            assert.equal(wrong.code, 1);
            assert.doesNotMatch(wrong.stdout + wrong.stderr, /wrong-value/);
          } finally {
            server.process.kill();
            await server.wait();
          }
        });

      describe("over SSH", { skip: sshSkip }, () => {
        let server: RunningProgram;
        let agent: RunningProgram;
        let socket: string;
        const address = "ssh://git@127.0.0.1:2222";

        before(async () => {
          const { host } = suite.daemon;
          const { program, libraries, makeKey } = ssh!;
          const env = libraries === "" ? {} : { LD_LIBRARY_PATH: libraries };
          const key = join(at.work, "ssh-key");
          await mustRun(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
          const home = join(at.work, "home");
          await mkdir(join(home, ".ssh"), { recursive: true, mode: 0o700 });
          await chmod(at.work, 0o755);
          await writeFile(join(home, ".ssh/authorized_keys"), await readFile(`${key}.pub`), { mode: 0o600 });
          const passwd = `${await readFile("/etc/passwd", "utf8")}git:x:0:0::${home}:/bin/sh\n`;
          await writeFile(join(at.work, "passwd"), passwd);
          const hostKey = join(at.work, "host-key");
          await mustRun([makeKey, "-t", "ed25519", "-f", hostKey], { env });
          // The server's users are its own: the daemon sees the machine's.
          const start = `mount --bind ${at.work}/passwd /etc/passwd && exec ${program} -F -E -s -r ${hostKey} -p 127.0.0.1:2222 -P ${at.work}/pid`;
          server = host.start(["unshare", "-m", "sh", "-c", start], { env });
          const probe = "exec 3<>/dev/tcp/127.0.0.1/2222";
          await eventually(async () => (await host.run(["bash", "-c", probe])).code === 0, {
            timeoutMs: 60_000,
            what: "the SSH server",
          });
          socket = join(at.work, "agent.sock");
          agent = host.start(["ssh-agent", "-D", "-a", socket]);
          await agent.waitForOutput(/SSH_AUTH_SOCK/, 60_000);
          await mustRun(["ssh-add", "-q", key], { env: { SSH_AUTH_SOCK: socket } });
        });
        after(async () => {
          for (const program of [server, agent]) {
            program.process.kill();
            await program.wait();
          }
        });

        const withAgent = (): Record<string, string> => ({ SSH_AUTH_SOCK: socket });

        test("a context, for which docker buildx forwards the agent by itself", async () => {
          const text = await ok(["--no-cache", `${address}${bare}#main`], withAgent());
          assert.match(text, /\d of the repository$/m);
        });

        test("ADD, with the agent that is forwarded, by both command lines", async () => {
          const directory = await at.context(
            "add-ssh",
            `FROM ${busybox}\nADD ${address}${bare} /r\nRUN cat /r/file\n`,
          );
          assert.match(
            await ok(["--no-cache", "--ssh", "default", directory], withAgent()),
            /\d of the repository$/m,
          );
          const own = await suite.daemon.gantry(
            ["build", "--no-cache", "--progress=plain", "--ssh", "default", directory],
            { timeoutMs, env: withAgent() },
          );
          assert.equal(own.code, 0, own.stderr);
          assert.match(own.stderr, /of the repository$/m);
        });

        test("a context by gantry's command line", async () => {
          const own = await suite.daemon.gantry(
            ["build", "--no-cache", "--progress=plain", `${address}${bare}`],
            { timeoutMs, env: withAgent() },
          );
          assert.equal(own.code, 0, own.stderr);
          assert.match(own.stderr, /of the repository$/m);
        });

        test("refused without an agent, and with one that has not got the key", async () => {
          const directory = await at.context("no-agent", `FROM ${busybox}\nADD ${address}${bare} /r\n`);
          const without = await buildx([directory]);
          assert.equal(without.code, 1);
          assert.match(without.stderr, /no SSH key "default" forwarded from the client/);
          const other = join(at.work, "other-key");
          await mustRun(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other]);
          const wrong = await buildx(["--ssh", `default=${other}`, directory]);
          assert.equal(wrong.code, 1);
          assert.match(wrong.stderr, /git ls-remote failed: .*Permission denied/s);
        });

        describe("where the daemon's machine has a key that is let in", () => {
          before(async () => {
            const home = join(at.work, "own-home");
            const directory = join(home, ".ssh");
            await mkdir(directory, { recursive: true, mode: 0o700 });
            await copyFile(join(at.work, "ssh-key"), join(directory, "id_ed25519"));
            const { host } = suite.daemon;
            const hostKey = await host.run(["ssh-keyscan", "-p", "2222", "127.0.0.1"]);
            assert.match(hostKey.stdout, /^\[127\.0\.0\.1\]:2222 /m, hostKey.stderr);
            await writeFile(join(directory, "known_hosts"), hostKey.stdout);
            // OpenSSH asks this file for its user's home directory.
            const users = join(at.work, "own-passwd");
            const passwd = await readFile("/etc/passwd", "utf8");
            await writeFile(users, `root:x:0:0:root:${home}:/bin/sh\n${passwd}`);
            await mustRun(host.command(["mount", "--bind", users, "/etc/passwd"]));
          });
          after(() => mustRun(suite.daemon.host.command(["umount", "/etc/passwd"])));

          test("that key is not its clients'", async () => {
            const directory = await at.context("own-key", `FROM ${busybox}\nADD ${address}${bare} /r\n`);
            const wrong = await buildx(["--ssh", `default=${join(at.work, "other-key")}`, directory]);
            assert.equal(wrong.code, 1);
            assert.match(wrong.stderr, /git ls-remote failed: .*Permission denied/s);
          });

          test("nor for submodules, except for clients that forward nothing", async () => {
            const repository = join(at.work, "with-submodule");
            await mustRun(["git", "clone", "-q", bare, repository]);
            const git = (...args: string[]): Promise<RunResult> =>
              mustRun(["git", "-c", "user.name=x", "-c", "user.email=x@localhost", ...args], {
                cwd: repository,
              });
            await writeFile(
              join(repository, ".gitmodules"),
              `[submodule "part"]\n\tpath = part\n\turl = ${address}${bare}\n`,
            );
            const head = (await git("rev-parse", "HEAD")).stdout.trim();
            await git("update-index", "--add", "--cacheinfo", `160000,${head},part`);
            await git("add", ".gitmodules");
            await git("commit", "-qm", "two");
            const served = join(at.work, "served/whole.git");
            await mustRun(["git", "clone", "-q", "--bare", repository, served]);
            await mustRun(["git", "-C", served, "update-server-info"]);
            const server = suite.daemon.host.start([
              process.execPath,
              helper("serve-files.ts"),
              join(at.work, "served"),
            ]);
            try {
              await server.waitForOutput(/^\d+\n/, 60_000);
              const url = `http://127.0.0.1:${server.stdout().trim()}/whole.git`;
              const text = `FROM ${busybox}\nADD ${url} /r\nRUN cat /r/part/file\n`;
              const directory = await at.context("submodule", text);
              const refused = await buildx(["--no-cache", directory], withAgent());
              assert.equal(refused.code, 1, refused.stderr);
              assert.match(refused.stderr, /git submodule failed: .*Permission denied/s);
              const classic = await suite.daemon.docker(["build", "--no-cache", directory], {
                env: { DOCKER_BUILDKIT: "0" },
                timeoutMs,
              });
              assert.equal(classic.code, 0, classic.stderr);
              assert.match(classic.stdout, /^of the repository$/m);
            } finally {
              server.process.kill();
              await server.wait();
            }
          });
        });
      });
    });
  },
);
