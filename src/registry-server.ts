/**
 * Composition root of `gantry registry serve` and `gantry registry gc`: a registry that needs no daemon. Its directory:
 * `content/` (the same store of blobs that the daemon has), `registry.db`, `uploads/`, `lock`, `control.sock`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer as createHttpServer, request as httpRequest, type Server } from "node:http";
import { join } from "node:path";
import { openDatabase } from "./base/database.ts";
import { conflict, EngineError, errorText, invalidArgument } from "./base/errors.ts";
import { log, setLogLevel } from "./base/log.ts";
import type { ParsedArguments } from "./cli/parser.ts";
import { FsContentStore } from "./content/fs-content-store.ts";
import { lockFile } from "./linux/flock.ts";
import { loginDomain, RegistryClient } from "./registry/client.ts";
import { type Collected, Collector, type CollectOptions } from "./registry/server/garbage.ts";
import type { RegistryStores } from "./registry/server/exchange.ts";
import { Htpasswd } from "./registry/server/htpasswd.ts";
import { RegistryMetadata } from "./registry/server/metadata.ts";
import { Metrics } from "./registry/server/metrics.ts";
import { PullThrough } from "./registry/server/pull-through.ts";
import { createRegistryServer } from "./registry/server/server.ts";
import { refreshGauges } from "./registry/server/gauges.ts";
import { Uploads } from "./registry/server/uploads.ts";

/** `gantry registry serve|gc`. Resolves with the exit code. */
export async function registryCommand(command: "serve" | "gc", parsed: ParsedArguments): Promise<number> {
  try {
    return await (command === "serve" ? serve(parsed) : collect(parsed));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const hint = error.hint === undefined ? "" : `\n${error.hint}`;
    process.stderr.write(`gantry registry ${command}: ${error.message}${hint}\n`);
    return 1;
  }
}

function openStores(root: string, parsed?: ParsedArguments): RegistryStores {
  requireRecords(root);
  const content = new FsContentStore(join(root, "content"));
  content.sweep();
  const metadata = new RegistryMetadata(openDatabase(join(root, "registry.db")));
  const uploads = new Uploads(join(root, "uploads"), metadata, content);
  const collector = new Collector(content, metadata, uploads);
  const upstream = parsed === undefined ? undefined : pullThrough(parsed, join(root, "uploads"));
  return { content, metadata, uploads, collector, metrics: new Metrics(), upstream };
}

/** Without its records every blob would be garbage. Throws `unavailable`, with nothing changed. */
function requireRecords(root: string): void {
  const path = join(root, "registry.db");
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size;
  if (sizeBytes !== undefined && sizeBytes > 0) return;
  const blobs = join(root, "content/blobs");
  const count = (existsSync(blobs) ? readdirSync(blobs) : []).reduce(
    (sum, algorithm) => sum + readdirSync(join(blobs, algorithm)).length,
    0,
  );
  if (count === 0) return;
  throw new EngineError(
    "unavailable",
    `the registry's records in ${path} are ${sizeBytes === undefined ? "missing" : "empty"}, and there are ${count} blobs that they should name`,
    {
      hint: `Nothing was changed or removed. Bring the file back from a backup; to begin anew, move ${join(root, "content")} away.`,
    },
  );
}

function pullThrough(parsed: ParsedArguments, directory: string): PullThrough | undefined {
  const text = parsed.string("proxy");
  if (text === "") return undefined;
  const address = text.includes("://") ? text : `https://${text}`;
  if (!URL.canParse(address) || !["http:", "https:"].includes(new URL(address).protocol))
    throw invalidArgument(
      `--proxy ${text} is no address of a registry, such as https://registry-1.docker.io`,
    );
  const url = new URL(address);
  if (url.username !== "" || url.password !== "")
    throw invalidArgument("--proxy takes no password: name a file of it with --proxy-password-file");
  if (url.pathname !== "/") throw invalidArgument(`--proxy ${text} must name a registry, without a path`);
  const isPlain = url.protocol === "http:";
  const passwordFile = parsed.string("proxy-password-file");
  const client = new RegistryClient({
    insecureRegistries: isPlain ? [url.host] : [],
    registryMirrors: [],
    maxDownloadAttempts: 5,
  });
  return new PullThrough({
    client,
    domain: loginDomain(url.host),
    credentials:
      parsed.string("proxy-username") === ""
        ? {}
        : {
            username: parsed.string("proxy-username"),
            password: passwordFile === "" ? "" : readText("proxy-password-file", passwordFile).trimEnd(),
          },
    directory,
  });
}

function readText(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw invalidArgument(`cannot read --${flag}: ${errorText(error)}`);
  }
}

function collectOptions(parsed: ParsedArguments): CollectOptions {
  return {
    graceMs: parsed.number("gc-grace") / 1e6,
    untagged: parsed.bool("gc-untagged"),
    uploadExpiryMs: parsed.number("upload-expiry") / 1e6,
  };
}

function claim(root: string): boolean {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  return lockFile(join(root, "lock")) !== undefined;
}

async function serve(parsed: ParsedArguments): Promise<number> {
  const root = parsed.string("root");
  setLogLevel(parsed.bool("debug") ? "debug" : "info");
  process.umask(0o077);
  const users = parsed.string("htpasswd") === "" ? undefined : new Htpasswd(parsed.string("htpasswd"));
  const tls = tlsOptions(parsed);
  if (!claim(root))
    throw conflict(`another registry serves ${root}`, {
      hint: "Stop it, or give this one a --root of its own.",
    });
  const stores = openStores(root, parsed);
  const options = collectOptions(parsed);
  stores.uploads.sweep(options.uploadExpiryMs);
  const server = createRegistryServer({
    stores,
    users,
    anonymousPull: parsed.bool("anonymous-pull"),
    readOnly: parsed.bool("read-only"),
    keepAll: parsed.bool("keep-all"),
    tls,
  });
  const servers = [server];
  const address = await listen(server, parsed.string("address"));
  if (parsed.string("metrics-address") !== "")
    servers.push(await serveMetrics(stores, parsed.string("metrics-address")));
  servers.push(await serveControl(stores, join(root, "control.sock")));
  const timer = collectRegularly(stores, options, parsed.number("gc-interval") / 1e6);
  if (tls !== undefined) process.on("SIGHUP", () => renewCertificates(server, parsed));
  // Before anybody is told that it serves, and may want it to stop.
  const stopped = stopSignal();
  process.stdout.write(`Serving ${tls === undefined ? "http" : "https"}://${address} from ${root}\n`);
  await stopped;
  clearInterval(timer);
  await Promise.all(servers.map(close));
  stores.metadata.database.close();
  return 0;
}

function tlsOptions(parsed: ParsedArguments): { cert: string; key: string } | undefined {
  const [cert, key] = [parsed.string("tls-cert"), parsed.string("tls-key")];
  if (cert === "" && key === "") return undefined;
  if (cert === "" || key === "") throw invalidArgument("--tls-cert and --tls-key go together");
  return { cert: readText("tls-cert", cert), key: readText("tls-key", key) };
}

/** SIGHUP: certificates were renewed. Connections that are open stay as they are. */
function renewCertificates(server: Server, parsed: ParsedArguments): void {
  try {
    const options = tlsOptions(parsed);
    if (options !== undefined && "setSecureContext" in server)
      (server.setSecureContext as (options: object) => void)(options);
    log.info("certificates reloaded");
  } catch (error) {
    log.error("certificates not reloaded: they stay as they were", { error: errorText(error) });
  }
}

/** `host:port`; `:5000` is every address of the machine. Resolves with where it listens. */
async function listen(server: Server, text: string): Promise<string> {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null)
    throw invalidArgument(`${JSON.stringify(text)} is no address: want HOST:PORT, such as 127.0.0.1:5000`);
  const host = match[1] ?? match[2] ?? "";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ port: Number(match[3]), ...(host === "" ? {} : { host }) }, resolve);
  try {
    await promise;
  } catch (error) {
    throw new EngineError("unavailable", `cannot listen on ${text}: ${errorText(error)}`);
  }
  const bound = server.address();
  return `${host.includes(":") ? `[${host}]` : host}:${typeof bound === "object" ? bound?.port : match[3]}`;
}

async function serveMetrics(stores: RegistryStores, address: string): Promise<Server> {
  const server = createHttpServer((request, response) => {
    if (request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    refreshGauges(stores);
    response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" });
    response.end(stores.metrics.render());
  });
  await listen(server, address);
  return server;
}

/** The door for `gantry registry gc` beside a registry that serves: for the directory's owner alone. */
async function serveControl(stores: RegistryStores, path: string): Promise<Server> {
  rmSync(path, { force: true });
  const server = createHttpServer((request, response) => {
    void (async () => {
      try {
        let text = "";
        for await (const chunk of request) text += String(chunk);
        const result = runCollection(stores, JSON.parse(text) as CollectOptions);
        response.end(JSON.stringify(result));
      } catch (error) {
        response.writeHead(500).end(JSON.stringify({ message: errorText(error) }));
      }
    })();
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(path, resolve);
  await promise;
  return server;
}

function runCollection(stores: RegistryStores, options: CollectOptions): Collected {
  const result = stores.collector.collect(options);
  if (options.dryRun !== true) {
    stores.metrics.count("gc_runs_total", {});
    stores.metrics.count("gc_freed_bytes_total", {}, result.freedBytes);
    log.info("garbage collected", { ...result });
  }
  return result;
}

function collectRegularly(
  stores: RegistryStores,
  options: CollectOptions,
  intervalMs: number,
): NodeJS.Timeout | undefined {
  if (intervalMs <= 0) return undefined;
  const run = (): void => {
    try {
      // What a cache has fetched for a tag that now points elsewhere comes again when it is asked for.
      runCollection(stores, { ...options, untagged: options.untagged || stores.upstream !== undefined });
    } catch (error) {
      log.error("garbage was not collected", { error: error instanceof Error ? error : errorText(error) });
    }
  };
  return setInterval(run, Math.min(intervalMs, 2 ** 31 - 1));
}

async function collect(parsed: ParsedArguments): Promise<number> {
  const root = parsed.string("root");
  const options = { ...collectOptions(parsed), dryRun: parsed.bool("dry-run") };
  const result = claim(root)
    ? openStores(root).collector.collect(options)
    : await askServer(join(root, "control.sock"), options);
  const verb = options.dryRun ? "Would remove" : "Removed";
  process.stdout.write(
    `${verb} ${result.manifests} manifests, ${result.blobs} blobs and ${result.uploads} unfinished uploads: ` +
      `${(result.freedBytes / 1e6).toFixed(1)} MB\n`,
  );
  return 0;
}

/** Has the registry that serves the directory collect. Throws `unavailable` when it does not answer. */
async function askServer(socketPath: string, options: CollectOptions): Promise<Collected> {
  const { promise, resolve, reject } = Promise.withResolvers<Collected>();
  const request = httpRequest({ socketPath, method: "POST", path: "/gc" }, (response) => {
    void (async () => {
      let text = "";
      for await (const chunk of response) text += String(chunk);
      if (response.statusCode === 200) resolve(JSON.parse(text) as Collected);
      else reject(new EngineError("internal", `the registry could not collect: ${text}`));
    })().catch(reject);
  });
  request.on("error", (error) =>
    reject(
      new EngineError("unavailable", `the registry at ${socketPath} does not answer: ${errorText(error)}`),
    ),
  );
  request.end(JSON.stringify(options));
  return await promise;
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
}

/** Lets requests end for some seconds. */
async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), 5_000);
  await promise;
  clearTimeout(timer);
}
