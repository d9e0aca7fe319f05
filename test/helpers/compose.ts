/** Projects for tests of compose, and the tools of others to compare with: Docker Compose 2.26 and 1.29 out of Debian's packages. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestDaemon } from "./daemon.ts";
import { busybox } from "./images.ts";
import { mustRun, run, start, type RunningProgram, type RunOptions, type RunResult } from "./process.ts";

const cacheDirectory = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "gantry");

/** A program that sleeps and ends on its signal, as the command of a service. */
export const service = (before = ":"): string =>
  `["sh", "-c", ${JSON.stringify(`trap 'exit 0' TERM; ${before}; while :; do sleep 1 & wait $$!; done`)}]`;

/** An application of two services, with a volume that has a name and one that has none. */
export const shop = `
services:
  web:
    image: ${busybox}
    command: ${service("echo web is up")}
    depends_on: [db]
    environment: { COLOUR: blue }
    volumes: [ "data:/data", "/anonymous" ]
  db:
    image: ${busybox}
    command: ${service("echo db is up")}
volumes: { data: }
`;

/** A directory with files of a project; its name is the project's. */
export class ComposeProject implements AsyncDisposable {
  readonly directory: string;
  readonly name: string;
  readonly daemon: TestDaemon;
  readonly #parent: string;

  private constructor(daemon: TestDaemon, parent: string, name: string) {
    this.daemon = daemon;
    this.#parent = parent;
    this.name = name;
    this.directory = join(parent, name);
  }

  /** What compose notes of a project goes with it. */
  get #environment(): Record<string, string> {
    return { XDG_CACHE_HOME: this.cacheDirectory };
  }

  get cacheDirectory(): string {
    return join(this.#parent, ".cache");
  }

  static async make(
    daemon: TestDaemon,
    files: Readonly<Record<string, string>>,
    name = "shop",
  ): Promise<ComposeProject> {
    const project = new ComposeProject(daemon, await mkdtemp(join(tmpdir(), "gantry-test-compose-")), name);
    await mkdir(project.directory);
    for (const [path, text] of Object.entries(files)) await project.write(path, text);
    return project;
  }

  async write(path: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.directory, path)), { recursive: true });
    await writeFile(join(this.directory, path), text);
  }

  /** Runs `gantry compose`, or another group of it, in the project's directory. */
  run(args: readonly string[], options: RunOptions & { readonly group?: string } = {}): Promise<RunResult> {
    const { group = "compose", ...rest } = options;
    return run(this.daemon.gantryCommand([group, ...args]), {
      timeoutMs: 120_000,
      cwd: this.directory,
      ...rest,
      env: { ...this.#environment, ...rest.env },
    });
  }

  /** Like {@link run}; throws when it failed, and returns standard output. */
  async ok(args: readonly string[], options: RunOptions & { readonly group?: string } = {}): Promise<string> {
    const result = await this.run(args, options);
    if (result.code === 0) return result.stdout;
    throw new Error(
      `compose ${args.join(" ")} exited with ${result.code}:\n${result.stderr}${result.stdout}`,
    );
  }

  start(args: readonly string[], options: RunOptions = {}): RunningProgram {
    return start(this.daemon.gantryCommand(["compose", ...args]), {
      cwd: this.directory,
      ...options,
      env: { ...this.#environment, ...options.env },
    });
  }

  /** Runs another tool in the project's directory against the same daemon. Throws when it fails. */
  async other(tool: readonly string[], args: readonly string[]): Promise<RunResult> {
    return await mustRun([...tool, ...args], {
      timeoutMs: 120_000,
      cwd: this.directory,
      env: { DOCKER_HOST: `unix://${this.daemon.socket}`, COMPOSE_ANSI: "never" },
    });
  }

  /** Ids of the project's containers by their names. */
  async ids(): Promise<Record<string, string>> {
    const filter = `label=com.docker.compose.project=${this.name}`;
    const lines = await this.daemon.dockerOk([
      "ps",
      "-a",
      "--no-trunc",
      "--filter",
      filter,
      "--format",
      "{{.Names}} {{.ID}}",
    ]);
    return Object.fromEntries(
      lines
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.split(" ") as [string, string])
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(
      this.daemon.gantryCommand(["compose", "-p", this.name, "down", "-v", "--remove-orphans", "-t", "2"]),
      {
        timeoutMs: 60_000,
      },
    ).catch(() => undefined);
    // Volumes without a name outlive the containers of orphans and of `rm`, as they do with Docker's Compose.
    await this.daemon.docker(["volume", "prune", "-f"]);
    await rm(this.#parent, { recursive: true, force: true });
  }
}

/** Docker Compose 2.26 of Debian 13; undefined where its package cannot be had. */
export async function compose2(): Promise<string[] | undefined> {
  const root = await debianPackages("trixie", "docker-compose-2", ["docker-compose"]);
  return root === undefined ? undefined : [join(root, "usr/bin/docker-compose")];
}

/** What Debian 12's docker-compose needs of Python. */
const pythonPackages =
  "docker-compose python3-docker python3-dockerpty python3-docopt python3-dotenv python3-jsonschema python3-texttable " +
  "python3-websocket python3-distro python3-requests python3-urllib3 python3-idna python3-chardet " +
  "python3-charset-normalizer python3-certifi python3-attr python3-pyrsistent python3-yaml python3-six " +
  "python3-distutils python3-lib2to3 python3-packaging";

/** Docker Compose 1.29 of Debian 12; undefined where its packages cannot be had. */
export async function compose1(): Promise<string[] | undefined> {
  const root = await debianPackages("bookworm", "docker-compose-1", pythonPackages.split(" "));
  if (root === undefined || !existsSync("/usr/bin/python3")) return undefined;
  const modules = join(root, "usr/lib/python3/dist-packages");
  return ["env", `PYTHONPATH=${modules}`, "/usr/bin/python3", join(root, "usr/bin/docker-compose")];
}

/** Unpacks packages of a Debian release into a directory that is kept, without installing anything. */
async function debianPackages(
  suite: string,
  name: string,
  packages: readonly string[],
): Promise<string | undefined> {
  const root = join(cacheDirectory, name);
  if (existsSync(root)) return root;
  await mkdir(cacheDirectory, { recursive: true });
  const work = await mkdtemp(join(cacheDirectory, "packages-"));
  try {
    await mkdir(join(work, "lists/partial"), { recursive: true });
    await mkdir(join(work, "archives/partial"), { recursive: true });
    await writeFile(
      join(work, "sources.list"),
      `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian ${suite} main\n`,
    );
    const settings = {
      "Dir::Etc::sourcelist": join(work, "sources.list"),
      "Dir::Etc::sourceparts": "-",
      "Dir::State::lists": join(work, "lists"),
      "Dir::Cache": work,
      "APT::Sandbox::User": "root",
    };
    const flags = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    const options = { timeoutMs: 180_000, cwd: work };
    await mustRun(["apt-get", ...flags, "-q", "update"], options);
    await mustRun(["apt-get", ...flags, "-q", "download", ...packages], options);
    await mkdir(join(work, "root"));
    await mustRun(["sh", "-ec", 'for file in *.deb; do dpkg -x "$file" root; done'], options);
    await rename(join(work, "root"), root);
    return root;
  } catch (error) {
    process.stderr.write(`${name} cannot be had: ${(error as Error).message.split("\n")[0]!}\n`);
    return undefined;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
