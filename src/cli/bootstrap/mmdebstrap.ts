import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { digestOf } from "../../oci/digest.ts";
import { CliError } from "../errors.ts";
import { type BootstrapPlan, mirrorOf } from "./plan.ts";

/** Files of one machine and one moment, which an image does not have. */
const cleanup = [
  "etc/hostname",
  "etc/resolv.conf",
  "etc/machine-id",
  "var/lib/dpkg/status-old",
  "var/cache/debconf/config.dat-old",
  "var/cache/debconf/templates.dat-old",
  "var/cache/ldconfig/aux-cache",
  "var/cache/apt/archives/lock",
  "var/lib/apt/lists/lock",
];

/** What Debian's slim images leave out: everything but the copyright files. */
const slimOptions = [
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/info/*",
  "path-exclude=/usr/share/locale/*",
  "path-include=/usr/share/locale/locale.alias",
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
];

/** How many of the last lines of a failure are worth reading. */
const shownLines = 12;

/** How long its processes may take to clean up after themselves; half of it before they are killed. */
const stopTimeoutMs = 20_000;

export interface MmdebstrapOptions {
  readonly plan: BootstrapPlan;
  /** Directory for everything that is made on the way. */
  readonly directory: string;
  /** Time of the files, so that the same packages make the same image. Unix seconds. */
  readonly epochSeconds: number;
  readonly onStep: (text: string) => void;
  readonly signal: AbortSignal;
}

/** `1.3.5`. Throws `CliError` when mmdebstrap is not installed. */
export async function mmdebstrapVersion(): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("mmdebstrap", ["--version"]);
    return stdout.trim().split(" ").at(-1) ?? "";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new CliError(
      "mmdebstrap is missing, which makes the file system. Install it: apt-get install mmdebstrap",
    );
  }
}

/** What an image is made of: the same inputs make the same image. */
export interface ArchiveInputs {
  /** Time of the files, in unix seconds: `SOURCE_DATE_EPOCH`, or that of the newest list of packages. */
  readonly epochSeconds: number;
  /** `suite sha256:…` of each InRelease file, which signs for every package. */
  readonly releases: readonly string[];
}

/** Asks the mirror for its signed lists. Throws `CliError` when it does not answer or has no such suite. */
export async function archiveInputs(plan: BootstrapPlan, directory: string): Promise<ArchiveInputs> {
  const found = await Promise.all(
    plan.sources.map(async (line, index) => {
      const mirror = mirrorOf(line);
      const suite = line.split(" ").at(-2)!;
      const url = `${mirror.replace(/\/+$/, "")}/dists/${suite}/InRelease`;
      const path = join(directory, `InRelease.${index}`);
      try {
        // apt's own downloader knows the proxy and the certificates that this machine's apt uses.
        await promisify(execFile)("/usr/lib/apt/apt-helper", ["download-file", url, path]);
      } catch (error) {
        const { stderr = "", message } = error as { stderr?: string; message: string };
        throw new CliError(
          `The mirror cannot be used: ${url}\n${lastLines(stderr === "" ? message : stderr)}`,
        );
      }
      const text = readFileSync(path);
      const seconds = Date.parse(/^Date: (.*)$/m.exec(text.toString("utf8"))?.[1] ?? "") / 1000;
      return { seconds, release: `${suite} ${digestOf(text)}` };
    }),
  );
  const known = found.map(({ seconds }) => seconds).filter((seconds) => Number.isFinite(seconds));
  const newest = known.length === 0 ? Math.floor(Date.now() / 1000) : Math.max(...known);
  const fixed = process.env["SOURCE_DATE_EPOCH"];
  return {
    epochSeconds: fixed !== undefined && /^\d{1,11}$/.test(fixed) ? Number(fixed) : newest,
    releases: found.map(({ release }) => release),
  };
}

/** Makes the root file system and returns the path of its tar archive. Throws `CliError` with the last lines of a failure. */
export async function runMmdebstrap(options: MmdebstrapOptions): Promise<string> {
  const { plan, directory, signal } = options;
  const archive = join(directory, "rootfs.tar");
  const child = spawn("mmdebstrap", mmdebstrapArguments(plan, archive), {
    stdio: ["ignore", "ignore", "pipe"],
    // A process group of its own, so that a stop reaches apt and dpkg, too.
    detached: true,
    env: {
      PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
      LC_ALL: "C.UTF-8",
      DEBIAN_FRONTEND: "noninteractive",
      SOURCE_DATE_EPOCH: String(options.epochSeconds),
      TMPDIR: directory,
      ...proxies(),
    },
  });
  // It unmounts what it has mounted before it ends.
  const stop = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM");
  };
  signal.addEventListener("abort", stop, { once: true });
  const exit = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? -1));
  });
  const output = readSteps(child.stderr, options.onStep);
  const code = await exit;
  signal.removeEventListener("abort", stop);
  if (signal.aborted) await groupEnd(child.pid!);
  signal.throwIfAborted();
  if (code !== 0) throw new CliError(`mmdebstrap failed (exit code ${code}):\n${lastLines(await output)}`);
  return archive;
}

/** Waits for the last process of a group that was told to stop: until then it may write and hold mounts. */
async function groupEnd(groupId: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < stopTimeoutMs; waitedMs += 50) {
    try {
      process.kill(-groupId, waitedMs > stopTimeoutMs / 2 ? "SIGKILL" : 0);
    } catch {
      return;
    }
    await delay(50);
  }
}

function mmdebstrapArguments(plan: BootstrapPlan, archive: string): string[] {
  const paths = cleanup.map((path) => `"$1/${path}"`).join(" ");
  return [
    `--variant=${plan.variant}`,
    "--mode=root",
    "--format=tar",
    // The runtime makes /dev for each container.
    "--skip=output/dev",
    ...(plan.include.length === 0 ? [] : [`--include=${plan.include.join(",")}`]),
    ...(plan.isSlim ? slimOptions.map((option) => `--dpkgopt=${option}`) : []),
    // Downloaded packages would only make the containers bigger; apt in a container removes them itself.
    '--setup-hook=mkdir -p "$1/etc/apt/apt.conf.d"',
    `--customize-hook=printf '%s\\n' 'APT::Keep-Downloaded-Packages "false";' 'Acquire::Languages "none";' 'Acquire::GzipIndexes "true";' > "$1/etc/apt/apt.conf.d/90container"`,
    `--customize-hook=rm -f ${paths}`,
    plan.suite,
    archive,
    ...plan.sources,
  ];
}

function proxies(): Record<string, string> {
  const names = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"];
  return Object.fromEntries(
    [...names, ...names.map((name) => name.toUpperCase())].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** Shows the lines that tell of progress and keeps all of them for a failure. */
async function readSteps(stream: AsyncIterable<Buffer>, onStep: (text: string) => void): Promise<string> {
  let all = "";
  let pending = "";
  for await (const chunk of stream) {
    const text = chunk.toString();
    all += text;
    const lines = (pending + text).split("\n");
    pending = lines.pop()!;
    for (const line of lines) {
      const step = /^I: (?!removing|using|finding|running --|\w+\(\))(.*)\.\.\.$/.exec(line)?.[1];
      if (step !== undefined) onStep(`${step}...`);
    }
  }
  return all;
}

/** What a failure says: its errors, or its last lines when it names none. */
function lastLines(text: string): string {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== "" && !/^\d+%/.test(line));
  const errors = lines.filter((line) => line.startsWith("E: "));
  return (errors.length > 0 ? errors : lines).slice(-shownLines).join("\n");
}
