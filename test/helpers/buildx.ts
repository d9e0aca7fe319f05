/** The real docker-buildx, as a plugin of the real docker command line, with settings of its own. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianFiles } from "./debian-files.ts";

/** Where distributions and Docker's own packages put it. */
const usualPlaces = [
  "/usr/libexec/docker/cli-plugins/docker-buildx",
  "/usr/lib/docker/cli-plugins/docker-buildx",
  "/usr/local/lib/docker/cli-plugins/docker-buildx",
];
/** Debian 13's package, kept between runs. */
const cached = join(tmpdir(), "gantry-test-docker-buildx");

/** Path of the plugin; undefined when there is none and Debian's mirror cannot be reached. */
export async function findBuildx(): Promise<string | undefined> {
  const named = process.env["GANTRY_TEST_BUILDX"];
  const found = [named, ...usualPlaces, cached].find((path) => path !== undefined && existsSync(path));
  if (found !== undefined) return found;
  try {
    return join(await debianFiles("trixie", ["docker-buildx"]), usualPlaces[0]!);
  } catch {
    return undefined;
  }
}

/** A directory for DOCKER_CONFIG that has the plugin; to be removed by the caller. */
export async function buildxConfig(plugin: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "gantry-docker-config-"));
  await mkdir(join(directory, "cli-plugins"));
  await copyFile(plugin, join(directory, "cli-plugins", "docker-buildx"));
  return directory;
}
