/**
 * What lets git into a repository: the client's agent for SSH, its secrets GIT_AUTH_TOKEN and GIT_AUTH_HEADER for HTTP
 * (BuildKit, source/git).
 */
import { mkdirSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { notFound } from "../base/errors.ts";
import { redactCredentials } from "../base/redact-url.ts";
import { openAgentSocket } from "./agent-socket.ts";
import type { BuildRequest, SshProvider } from "./build.ts";

/** Whose secrets and agent they are. */
export type GitClient = Pick<BuildRequest, "secrets" | "ssh">;

export interface GitAccess {
  /** Added to git's environment: nothing of it is among the arguments, which everybody on the machine can read. */
  readonly env: Readonly<Record<string, string>>;
}

/** The agent that BuildKit takes for repositories. */
const agentId = "default";

/** Whether git goes to it over SSH: `ssh://…`, `git@host:path`. */
function isSshRemote(remote: string): boolean {
  return /^(git\+)?ssh:\/\//.test(remote) || /^[\w.-]+@[\w.-]+:/.test(remote);
}

/**
 * Opens the way to a repository; it is closed by `undo`. `directory` is a new one for what it needs. A client that can
 * forward no agent at all (the classic `POST /build`) gets the daemon's own keys, as from Docker's. Throws `notFound`
 * when it could and does not.
 */
export async function openGitAccess(
  client: GitClient,
  remote: string,
  place: { readonly directory: string; readonly undo: AsyncDisposableStack },
): Promise<GitAccess> {
  const { ssh } = client;
  const header = /^https?:\/\//.test(remote) ? await headerEnvironment(client, remote) : {};
  if (ssh === undefined) return { env: { ...header, ...ownKeys() } };
  if (isSshRemote(remote)) return { env: await agentEnvironment(ssh, remote, place) };
  // Its submodules may be read over SSH all the same. BuildKit has no agent for them either.
  return { env: { ...header, ...sshCommand(["IdentityAgent=none"]) } };
}

function ownKeys(): Record<string, string> {
  const own = process.env["SSH_AUTH_SOCK"];
  return { GIT_SSH_COMMAND: "ssh -o BatchMode=yes", ...(own === undefined ? {} : { SSH_AUTH_SOCK: own }) };
}

/**
 * Without the settings of whoever runs the daemon, commands that they name, and keys: none of that is a client's. Where
 * no key is named ssh takes those of the user's home directory, whatever HOME is (ssh_config(5), IdentityFile).
 */
function sshCommand(more: readonly string[]): Record<string, string> {
  const options = ["BatchMode=yes", "IdentityFile=none", ...more];
  return {
    GIT_SSH_COMMAND: `ssh -F /dev/null ${options.map((option) => `-o '${option}'`).join(" ")}`,
    GIT_SSH_VARIANT: "ssh",
  };
}

async function agentEnvironment(
  ssh: SshProvider,
  remote: string,
  { directory, undo }: { readonly directory: string; readonly undo: AsyncDisposableStack },
): Promise<Record<string, string>> {
  if (!(await ssh.has(agentId)))
    throw notFound(
      `cannot read ${redactCredentials(remote)}: no SSH key "${agentId}" forwarded from the client`,
      {
        hint: `Give it with --ssh ${agentId}.`,
      },
    );
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const agent = await openAgentSocket(ssh, agentId, { directory, name: "agent" });
  undo.use(agent);
  // A host that this machine knows must be the one that it knows; of others nobody knows more than that they answer.
  const known = [join(directory, "known_hosts"), join(homedir(), ".ssh/known_hosts")];
  return {
    ...sshCommand([
      "StrictHostKeyChecking=accept-new",
      `UserKnownHostsFile=${known.map((path) => `"${path}"`).join(" ")}`,
    ]),
    SSH_AUTH_SOCK: agent.shortPath,
  };
}

/** The first secret of BuildKit's names: a header whole or a token, for the repository's host or for all. */
async function headerEnvironment({ secrets }: GitClient, remote: string): Promise<Record<string, string>> {
  if (secrets === undefined || !URL.canParse(remote)) return {};
  const { host, hostname } = new URL(remote);
  const hosts = new Set([`.${host}`, `.${hostname}`, ""]);
  for (const suffix of hosts)
    for (const name of ["GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"]) {
      const secret = await secrets.get(name + suffix);
      if (secret === undefined) continue;
      const text = Buffer.from(secret).toString("utf8").trim();
      const value =
        name === "GIT_AUTH_HEADER"
          ? text
          : `basic ${Buffer.from(`x-access-token:${text}`).toString("base64")}`;
      return {
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: `http.${headerScope(remote)}.extraheader`,
        GIT_CONFIG_VALUE_0: `Authorization: ${value}`,
      };
    }
  return {};
}

/** Where the header is shown: the repository; at GitHub all of them, so that submodules come too, as BuildKit has it. */
function headerScope(remote: string): string {
  return remote.startsWith("https://github.com/") ? "https://github.com/" : remote;
}
