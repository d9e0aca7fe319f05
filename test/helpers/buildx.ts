/** The real docker-buildx, as a plugin of the real docker command line, with settings of its own. */
import { constants, existsSync } from "node:fs";
import { access, copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRun } from "./process.ts";

/** Where distributions and Docker's own packages put it. */
const usualPlaces = [
  "/usr/libexec/docker/cli-plugins/docker-buildx",
  "/usr/lib/docker/cli-plugins/docker-buildx",
  "/usr/local/lib/docker/cli-plugins/docker-buildx",
];
/** Debian 13's package, kept between runs. */
const cached = join(tmpdir(), "gantry-test-docker-buildx");
const fetchTimeoutMs = 300_000;

/** Path of the plugin; undefined when there is none and Debian's mirror cannot be reached. */
export async function findBuildx(): Promise<string | undefined> {
  const named = process.env["GANTRY_TEST_BUILDX"];
  const found = [named, ...usualPlaces, cached].find((path) => path !== undefined && existsSync(path));
  if (found !== undefined) return found;
  try {
    await fetchFromDebian();
    return cached;
  } catch {
    return undefined;
  }
}

/** By a list of packages of its own: the machine's package manager sees nothing of it. */
async function fetchFromDebian(): Promise<void> {
  await access("/usr/bin/apt-get", constants.X_OK);
  const directory = await mkdtemp(join(tmpdir(), "gantry-buildx-"));
  try {
    await Promise.all(
      ["lists/partial", "archives/partial", "root"].map((name) =>
        mkdir(join(directory, name), { recursive: true }),
      ),
    );
    await writeFile(
      join(directory, "sources.list"),
      "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n",
    );
    await writeFile(join(directory, "status"), "");
    const options = {
      "Dir::Etc::sourcelist": join(directory, "sources.list"),
      "Dir::Etc::sourceparts": "/dev/null",
      "Dir::State::lists": join(directory, "lists"),
      "Dir::State::status": join(directory, "status"),
      "Dir::Cache": directory,
      "APT::Sandbox::User": "root",
    };
    const flags = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    const run = { timeoutMs: fetchTimeoutMs, cwd: directory };
    await mustRun(["apt-get", ...flags, "update"], run);
    await mustRun(["apt-get", ...flags, "download", "docker-buildx"], run);
    const archive = (await readdir(directory)).find((name) => name.endsWith(".deb"))!;
    await mustRun(["dpkg", "-x", join(directory, archive), join(directory, "root")], run);
    await copyFile(join(directory, "root", usualPlaces[0]!), join(directory, "plugin"));
    await rename(join(directory, "plugin"), cached);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A directory for DOCKER_CONFIG that has the plugin; to be removed by the caller. */
export async function buildxConfig(plugin: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "gantry-docker-config-"));
  await mkdir(join(directory, "cli-plugins"));
  await copyFile(plugin, join(directory, "cli-plugins", "docker-buildx"));
  return directory;
}
