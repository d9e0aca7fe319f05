/** The real docker-buildx, as a plugin of the real docker command line, with settings of its own. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
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

/** What tests of buildx have beside the daemon; there from the first test of the file or suite to its last. */
export interface BuildxPlaces {
  /** For contexts and what builds put out. */
  readonly work: string;
  /** The command line's settings, with the plugin. */
  readonly config: string;
  /** Names `config` to the command line and the plugin. */
  readonly env: { readonly DOCKER_CONFIG: string; readonly BUILDX_CONFIG: string };
  /** Makes a context of files, or of a Dockerfile alone, below `work`. */
  context(name: string, files: string | Readonly<Record<string, string>>): Promise<string>;
}

export function useBuildx(plugin: string | undefined): BuildxPlaces {
  let work = "";
  let config = "";
  before(async () => {
    work = await mkdtemp(join(tmpdir(), "gantry-buildx-test-"));
    config = await buildxConfig(plugin!);
  });
  after(async () => {
    for (const directory of [work, config])
      if (directory !== "") await rm(directory, { recursive: true, force: true });
  });
  return {
    get work() {
      return work;
    },
    get config() {
      return config;
    },
    get env() {
      return { DOCKER_CONFIG: config, BUILDX_CONFIG: join(config, "buildx") };
    },
    async context(name, files) {
      const directory = join(work, name);
      const entries = typeof files === "string" ? { Dockerfile: files } : files;
      for (const [path, text] of Object.entries(entries)) {
        await mkdir(join(directory, path, ".."), { recursive: true });
        await writeFile(join(directory, path), text);
      }
      return directory;
    },
  };
}
