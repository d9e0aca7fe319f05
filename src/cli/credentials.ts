/**
 * Credentials for registries, kept where Docker's command line keeps them: in `config.json`, or by the
 * `docker-credential-…` program that it names. Secrets go to programs by standard input, never by arguments.
 */
import { spawn } from "node:child_process";
import { registryHeader } from "../client/registry-header.ts";
import type { RegistryAuth } from "../wire/registry.ts";
import type { CommandContext } from "./command.ts";
import { changeConfigFile } from "./config-file.ts";
import { CliError } from "./errors.ts";

/** Where Docker Hub's credentials are kept. */
const hubServer = "https://index.docker.io/v1/";

interface StoredAuth {
  auth?: string;
  username?: string;
  password?: string;
  identitytoken?: string;
  registrytoken?: string;
}

interface ConfigFile {
  auths?: Record<string, StoredAuth>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
}

/** User name that says that the secret of a helper is an identity token. */
const tokenUser = "<token>";

/** The name that credentials are kept under: Docker Hub's, or `host[:port]` of what was given. */
export function serverKey(server: string): string {
  const host = server.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return host === "" || ["docker.io", "index.docker.io", "registry-1.docker.io"].includes(host)
    ? hubServer
    : host;
}

/** Value of the X-Registry-Auth header for a reference's domain; undefined when nobody is logged in there. */
export async function registryAuthFor(context: CommandContext, domain: string): Promise<string | undefined> {
  const credentials = await findCredentials(context, serverKey(domain));
  return credentials === undefined ? undefined : registryHeader(credentials);
}

/** What is stored for a server; undefined when there is nothing. Throws `CliError` when a helper fails. */
export async function findCredentials(
  context: CommandContext,
  key: string,
): Promise<RegistryAuth | undefined> {
  const config = readConfigFile(context);
  const helper = helperOf(config, key);
  if (helper !== undefined) return await askHelper(context, helper, key);
  const auths = config.auths ?? {};
  const found = Object.hasOwn(auths, key)
    ? auths[key]
    : Object.entries(auths).find(([name]) => serverKey(name) === key)?.[1];
  return found === undefined ? undefined : decodeAuth(found, key);
}

/**
 * Everything that is stored, by server: what a build may need that names its base images itself. A helper that fails for
 * one server is left out, since nobody knows yet whether that one is needed.
 */
export async function allCredentials(context: CommandContext): Promise<Record<string, RegistryAuth>> {
  const config = readConfigFile(context);
  const keys = new Set([
    ...Object.keys(config.auths ?? {}).map(serverKey),
    ...Object.keys(config.credHelpers ?? {}),
    ...(await listedBy(context, config.credsStore)),
  ]);
  const found: Record<string, RegistryAuth> = {};
  await Promise.all(
    [...keys].map(async (key) => {
      const credentials = await findCredentials(context, key).catch(() => undefined);
      if (credentials !== undefined) found[key] = credentials;
    }),
  );
  return found;
}

/** Servers that a helper keeps something for. */
async function listedBy(context: CommandContext, helper: string | undefined): Promise<string[]> {
  if (helper === undefined || helper === "") return [];
  try {
    const output = await runHelper(context, helper, { action: "list", input: "" });
    return Object.keys(JSON.parse(output ?? "{}") as Record<string, string>).map(serverKey);
  } catch {
    return [];
  }
}

function decodeAuth(stored: StoredAuth, key: string): RegistryAuth | undefined {
  const auth: RegistryAuth = { serveraddress: key };
  if (stored.identitytoken) auth.identitytoken = stored.identitytoken;
  if (stored.registrytoken) auth.registrytoken = stored.registrytoken;
  if (stored.auth) {
    const text = Buffer.from(stored.auth, "base64").toString("utf8");
    const colon = text.indexOf(":");
    if (colon > 0) {
      auth.username = text.slice(0, colon);
      auth.password = text.slice(colon + 1).replace(/\0+$/, "");
    }
  } else if (stored.username) {
    auth.username = stored.username;
    auth.password = stored.password ?? "";
  }
  return (auth.username ?? auth.identitytoken ?? auth.registrytoken) ? auth : undefined;
}

/** Stores credentials after a login. Returns the file when they lie in it as they are, undefined when a helper has them. */
export async function storeCredentials(
  context: CommandContext,
  key: string,
  credentials: RegistryAuth,
): Promise<string | undefined> {
  const config = readConfigFile(context);
  const { username = "", password = "", identitytoken = "" } = credentials;
  const helper = helperOf(config, key);
  if (helper !== undefined) {
    const secret =
      identitytoken === ""
        ? { Username: username, Secret: password }
        : { Username: tokenUser, Secret: identitytoken };
    await runHelper(context, helper, {
      action: "store",
      input: JSON.stringify({ ServerURL: key, ...secret }),
    });
    // Docker notes here too that there is a login; the secret is with the helper.
    changeConfigFile<ConfigFile>(context, (file) => ({ ...file, auths: { ...file.auths, [key]: {} } }));
    return undefined;
  }
  const auth = Buffer.from(`${username}:${identitytoken === "" ? password : ""}`).toString("base64");
  const stored: StoredAuth = identitytoken === "" ? { auth } : { auth, identitytoken };
  return changeConfigFile<ConfigFile>(context, (file) => ({
    ...file,
    auths: { ...file.auths, [key]: stored },
  }));
}

/** Forgets a server. False when nothing was stored for it. */
export async function eraseCredentials(context: CommandContext, key: string): Promise<boolean> {
  const config = readConfigFile(context);
  const names = Object.keys(config.auths ?? {}).filter((name) => serverKey(name) === key);
  const helper = helperOf(config, key);
  const isInHelper = helper !== undefined && (await askHelper(context, helper, key)) !== undefined;
  if (isInHelper) await runHelper(context, helper, { action: "erase", input: key });
  if (names.length > 0)
    changeConfigFile<ConfigFile>(context, (file) => ({
      ...file,
      auths: Object.fromEntries(Object.entries(file.auths ?? {}).filter(([name]) => !names.includes(name))),
    }));
  return isInHelper || names.length > 0;
}

function helperOf(config: ConfigFile, key: string): string | undefined {
  return config.credHelpers?.[key] || config.credsStore || undefined;
}

async function askHelper(
  context: CommandContext,
  helper: string,
  key: string,
): Promise<RegistryAuth | undefined> {
  const output = await runHelper(context, helper, { action: "get", input: key });
  if (output === undefined) return undefined;
  let answer: { Username?: unknown; Secret?: unknown };
  try {
    answer = JSON.parse(output) as typeof answer;
  } catch {
    throw new CliError(`docker-credential-${helper} get: its answer is no JSON`);
  }
  const { Username: username, Secret: secret } = answer;
  if (typeof username !== "string" || typeof secret !== "string" || secret === "") return undefined;
  return username === tokenUser
    ? { serveraddress: key, identitytoken: secret }
    : { serveraddress: key, username, password: secret };
}

/** Runs `docker-credential-<helper> <action>`; undefined when it has nothing for the server. */
async function runHelper(
  context: CommandContext,
  helper: string,
  { action, input }: { action: "get" | "store" | "erase" | "list"; input: string },
): Promise<string | undefined> {
  const program = `docker-credential-${helper}`;
  const child = spawn(program, [action], { stdio: ["pipe", "pipe", "inherit"], env: { ...context.env } });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const code = await new Promise<number>((resolve, reject) => {
    child.on("close", (exit) => resolve(exit ?? 1));
    child.on("error", (error) =>
      reject(
        new CliError(`cannot run the credential helper ${program}: ${error.message}`, 1, { cause: error }),
      ),
    );
  });
  if (code === 0) return output;
  const said = output.trim();
  if (action === "get" && /credentials not found/i.test(said)) return undefined;
  // What a helper prints for `get` may be a secret; its complaints are not.
  throw new CliError(
    `${program} ${action} failed with exit code ${code}${action === "get" ? "" : `: ${said}`}`,
  );
}

function readConfigFile(context: CommandContext): ConfigFile {
  // What is wrong with the file is said by the context, for every command alike.
  return context.config() as ConfigFile;
}
