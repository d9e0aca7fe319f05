/** Sources of ADD and contexts that are repositories of git. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { EngineError, invalidArgument, notFound } from "../base/errors.ts";
import { redactCredentials } from "../base/redact-url.ts";
import { findProgram } from "../container/conmon-process.ts";
import { runProcess } from "../linux/spawn.ts";
import type { GitAccess } from "./git-access.ts";

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

const gitTimeoutMs = 10 * 60_000;

interface GitRun {
  readonly cwd: string;
  /** What of the environment lets git in. */
  readonly access: GitAccess;
  readonly signal: AbortSignal;
}

async function git(argv: readonly string[], { cwd, access, signal }: GitRun): Promise<string> {
  const path = findProgram("git");
  if (path === undefined)
    throw new EngineError("unavailable", "git sources need the program git, which is not installed", {
      hint: "apt-get install git",
    });
  signal.throwIfAborted();
  const env = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    // Nobody's settings: those of a home directory, such as one that a repository was checked out into, name commands.
    HOME: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    ...access.env,
  };
  const result = await runProcess({
    path,
    argv: ["git", "-c", "protocol.ext.allow=never", ...argv],
    env,
    cwd,
    timeoutMs: gitTimeoutMs,
    signal,
  });
  signal.throwIfAborted();
  if (result.code !== 0)
    throw invalidArgument(
      `git ${argv[0]} failed: ${redactCredentials(result.stderr.trim()) || `exit code ${result.code}`}`,
    );
  return result.stdout;
}

/** The commit that a reference means now. */
export async function resolveGit(
  source: GitReference,
  access: GitAccess,
  signal: AbortSignal,
): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(source.ref)) return source.ref;
  const wanted = source.ref || "HEAD";
  const asked = ["ls-remote", "--", source.remote, wanted, `${wanted}^{}`];
  const text = await git(asked, { cwd: "/", access, signal });
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
  throw notFound(`repository ${redactCredentials(source.remote)} has no ref ${wanted}`);
}

/** Checks a commit out into a new directory; returns the directory of the files, and the commit. */
export async function checkoutGit(
  source: GitReference,
  options: {
    readonly directory: string;
    readonly commit: string;
    readonly keepGitDirectory: boolean;
    readonly access: GitAccess;
    readonly signal: AbortSignal;
  },
): Promise<{ path: string; commit: string }> {
  const { directory, commit, access, signal } = options;
  const here = { cwd: directory, access, signal };
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await git(["init", "--quiet", "."], here);
  await git(["remote", "add", "origin", source.remote], here);
  try {
    await git(["fetch", "--quiet", "--depth", "1", "origin", commit], here);
  } catch {
    // Servers need not give out single commits.
    signal.throwIfAborted();
    await git(["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"], here);
  }
  await git(["checkout", "--quiet", "--force", "--detach", commit], here);
  if (options.keepGitDirectory) await nameCommit(source, commit, here);
  await git(["submodule", "update", "--quiet", "--init", "--recursive", "--depth", "1"], here);
  const full = (await git(["rev-parse", "HEAD"], here)).trim();
  if (options.keepGitDirectory) hideCredentials(join(directory, ".git"));
  else removeGitDirectories(directory);
  return { path: subdirectoryOf(source, directory), commit: full };
}

/**
 * A directory of a checkout. Links lead nowhere: a repository says where they point to, and this machine's files are none
 * of its business. Throws `notFound`; `invalidArgument` where something on the way is no directory.
 */
function subdirectoryOf({ remote, subdirectory }: GitReference, checkout: string): string {
  let path = checkout;
  const parts = subdirectory.split("/").filter((part) => part !== "" && part !== ".");
  for (const [index, part] of parts.entries()) {
    path = join(path, part);
    const found = part === ".." ? undefined : lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined)
      throw notFound(`repository ${redactCredentials(remote)} has no directory ${subdirectory}`);
    if (!found.isDirectory())
      throw invalidArgument(
        `invalid subdir /${subdirectory}: git subpath "/${subdirectory}" contains non-directory "${parts.slice(0, index + 1).join("/")}"`,
      );
  }
  return path;
}

/** What was asked for is the commit's name in a repository that is kept: a tag for `git describe`, or a branch. */
async function nameCommit(
  { ref }: GitReference,
  commit: string,
  here: { readonly cwd: string; readonly access: GitAccess; readonly signal: AbortSignal },
): Promise<void> {
  const name = ref.replace(/^refs\/(?:tags|heads)\//, "");
  if (name !== "" && !/^[0-9a-f]{7,40}$/.test(name)) {
    const known = await git(["ls-remote", "origin", `refs/tags/${name}`, `refs/heads/${name}`], here);
    const named = known
      .split("\n")
      .map((line) => line.split("\t")[1] ?? "")
      .filter((full) => full !== "" && full.endsWith(`/${ref.replace(/^refs\//, "")}`));
    for (const full of named) {
      if (full.startsWith("refs/tags/") && (await fetchTag(full, here))) continue;
      await git(["update-ref", full, commit], here);
    }
  }
  rmSync(join(here.cwd, ".git/FETCH_HEAD"), { force: true });
}

/** A tag with what it says; false when the server gives out no single one. */
async function fetchTag(
  full: string,
  here: { readonly cwd: string; readonly access: GitAccess; readonly signal: AbortSignal },
): Promise<boolean> {
  try {
    await git(["fetch", "--quiet", "--no-tags", "--depth", "1", "origin", `+${full}:${full}`], here);
    return true;
  } catch {
    here.signal.throwIfAborted();
    return false;
  }
}

/** Git keeps the addresses of a repository and of its submodules, which may have passwords in them; it is for an image here. */
function hideCredentials(gitDirectory: string): void {
  for (const path of regularFiles(gitDirectory)) {
    if (!["config", "FETCH_HEAD"].includes(basename(path))) continue;
    const text = readFileSync(path, "latin1");
    const shown = redactCredentials(text);
    if (shown !== text) writeFileSync(path, shown, "latin1");
  }
}

function removeGitDirectories(directory: string): void {
  rmSync(join(directory, ".git"), { recursive: true, force: true });
  for (const path of regularFiles(directory)) if (basename(path) === ".git") rmSync(path, { force: true });
}

/** The regular files below a directory. Links are not followed, which Node's own recursion does: they lead anywhere. */
function* regularFiles(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* regularFiles(path);
    else if (entry.isFile()) yield path;
  }
}
