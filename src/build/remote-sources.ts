/** Sources of ADD and contexts that lie elsewhere: files over HTTP, repositories of git. */
import { createHash } from "node:crypto";
import { createWriteStream, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { EngineError, invalidArgument, notFound } from "../base/errors.ts";
import { findProgram } from "../container/conmon-process.ts";
import { runProcess } from "../linux/spawn.ts";
import { openWebFile } from "../registry/web.ts";

export interface GitReference {
  readonly remote: string;
  /** Branch, tag or commit; empty for the default branch. */
  readonly ref: string;
  readonly subdirectory: string;
}

/**
 * Reads a git source as BuildKit does: `git://…`, `git@host:path`, `ssh://…`, and HTTP URLs whose path ends in `.git`;
 * `#ref:subdirectory` behind it, or `?branch=`, `?tag=`, `?commit=`, `?subdir=`. Undefined for what is none.
 */
export function parseGitUrl(text: string): GitReference | undefined {
  const [address, fragment] = splitOnce(text, "#");
  const [remote, query] = splitOnce(address, "?");
  const isGit =
    /^(git|ssh):\/\//.test(remote) ||
    /^[\w.-]+@[\w.-]+:/.test(remote) ||
    /^https?:\/\/.+\.git\/?$/.test(remote) ||
    /^(github|gitlab|bitbucket)\.(com|org)\//.test(remote);
  if (!isGit) return undefined;
  const parameters = new URLSearchParams(query);
  const [ref, subdirectory] = splitOnce(fragment, ":");
  return {
    remote: /^(github|gitlab|bitbucket)\./.test(remote) ? `https://${remote}` : remote,
    ref:
      ref ||
      parameters.get("commit") ||
      parameters.get("tag") ||
      parameters.get("branch") ||
      parameters.get("ref") ||
      "",
    subdirectory: (subdirectory || parameters.get("subdir") || "").replace(/^\/+|\/+$/g, ""),
  };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

export const isHttpUrl = (text: string): boolean => /^https?:\/\//i.test(text);

const gitTimeoutMs = 10 * 60_000;

async function git(argv: readonly string[], cwd: string, signal: AbortSignal): Promise<string> {
  const path = findProgram("git");
  if (path === undefined)
    throw new EngineError("unavailable", "git sources need the program git, which is not installed", {
      hint: "apt-get install git",
    });
  signal.throwIfAborted();
  const env = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: cwd,
    GIT_TERMINAL_PROMPT: "0",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_SSH_COMMAND: "ssh -o BatchMode=yes",
    ...(process.env["SSH_AUTH_SOCK"] === undefined ? {} : { SSH_AUTH_SOCK: process.env["SSH_AUTH_SOCK"] }),
  };
  const result = await runProcess({
    path,
    argv: ["git", "-c", "protocol.ext.allow=never", ...argv],
    env,
    cwd,
    timeoutMs: gitTimeoutMs,
  });
  signal.throwIfAborted();
  if (result.code !== 0)
    throw invalidArgument(`git ${argv[0]} failed: ${result.stderr.trim() || `exit code ${result.code}`}`);
  return result.stdout;
}

/** The commit that a reference means now. */
export async function resolveGit(source: GitReference, signal: AbortSignal): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(source.ref)) return source.ref;
  const wanted = source.ref || "HEAD";
  const text = await git(["ls-remote", "--", source.remote, wanted, `${wanted}^{}`], "/", signal);
  const found = text
    .split("\n")
    .map((line) => line.split("\t"))
    .filter(([commit]) => commit !== undefined && commit !== "");
  const names = [`refs/tags/${wanted}^{}`, `refs/heads/${wanted}`, `refs/tags/${wanted}`, wanted];
  for (const name of names) {
    const match = found.find(([, ref]) => ref === name);
    if (match !== undefined) return match[0]!;
  }
  if (/^[0-9a-f]{7,39}$/.test(wanted)) return wanted;
  throw notFound(`repository ${source.remote} has no ref ${wanted}`);
}

/** Checks a commit out into a new directory; returns the directory of the files, and the commit. */
export async function checkoutGit(
  source: GitReference,
  options: {
    readonly directory: string;
    readonly commit: string;
    readonly keepGitDirectory: boolean;
    readonly signal: AbortSignal;
  },
): Promise<{ path: string; commit: string }> {
  const { directory, commit, signal } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await git(["init", "--quiet", "."], directory, signal);
  await git(["remote", "add", "origin", source.remote], directory, signal);
  try {
    await git(["fetch", "--quiet", "--depth", "1", "origin", commit], directory, signal);
  } catch {
    // Servers need not give out single commits.
    await git(
      ["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"],
      directory,
      signal,
    );
  }
  await git(["checkout", "--quiet", "--force", "--detach", commit], directory, signal);
  await git(["submodule", "update", "--quiet", "--init", "--recursive", "--depth", "1"], directory, signal);
  const full = (await git(["rev-parse", "HEAD"], directory, signal)).trim();
  if (!options.keepGitDirectory) removeGitDirectories(directory);
  if (source.subdirectory === "") return { path: directory, commit: full };
  const inner = join(directory, source.subdirectory);
  if (source.subdirectory.split("/").includes("..") || !existsSync(inner))
    throw notFound(`repository ${source.remote} has no directory ${source.subdirectory}`);
  return { path: inner, commit: full };
}

function removeGitDirectories(directory: string): void {
  rmSync(join(directory, ".git"), { recursive: true, force: true });
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true }))
    if (entry.name === ".git" && entry.isFile()) rmSync(join(entry.parentPath, entry.name), { force: true });
}

export interface Download {
  /** Hex SHA-256. */
  readonly sha256: string;
  readonly etag: string;
  /** ns since the epoch; 0 when the server does not say. */
  readonly modifiedNs: bigint;
  readonly sizeBytes: number;
  readonly contentType: string;
  /** The name that the server gives it; empty when it gives none. */
  readonly fileName: string;
}

/**
 * Downloads a file to `path`. With `etag`, the server may say that it is unchanged: then nothing is written and the
 * answer is undefined.
 */
export async function download(
  url: string,
  path: string,
  options: { readonly etag?: string; readonly signal: AbortSignal },
): Promise<Download | undefined> {
  const file = await openWebFile(url, {
    signal: options.signal,
    headers: options.etag ? { "If-None-Match": options.etag } : {},
  });
  if (file.status === 304) {
    file.body.resume();
    return undefined;
  }
  const hash = createHash("sha256");
  let sizeBytes = 0;
  await pipeline(
    file.body,
    async function* (source: AsyncIterable<Uint8Array>) {
      for await (const piece of source) {
        hash.update(piece);
        sizeBytes += piece.length;
        yield piece;
      }
    },
    createWriteStream(path, { mode: 0o600 }),
    { signal: options.signal },
  );
  const modified = Date.parse(file.header("last-modified"));
  return {
    sha256: hash.digest("hex"),
    etag: file.header("etag"),
    modifiedNs: Number.isNaN(modified) ? 0n : BigInt(modified) * 1_000_000n,
    sizeBytes,
    contentType: file.header("content-type"),
    fileName: /filename="?([^";/]+)"?/.exec(file.header("content-disposition"))?.[1] ?? "",
  };
}

/** The name of what a URL's path ends in; empty when it ends in a slash. */
export function urlFileName(url: string): string {
  const path = new URL(url).pathname;
  const name = path.slice(path.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(name).replace(/[/\0]/g, "");
  } catch {
    return name;
  }
}
