/** `develop.watch`: what changes in a directory is copied into containers, or has them built, started or asked anew. */
import { errorText } from "../../base/errors.ts";
import { existsSync, statSync, watch, type FSWatcher } from "node:fs";
import { join, posix, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { runHook } from "../../compose/act/hooks.ts";
import { startProject } from "../../compose/act/start.ts";
import { listContainers, type Observed } from "../../compose/engine.ts";
import type { Project } from "../../compose/model/project.ts";
import { withServices } from "../../compose/model/select.ts";
import { createProject } from "../../compose/up.ts";
import { isWanted, isWantedInside, watchTriggers, type Trigger } from "../../compose/watch-triggers.ts";
import { packLocal } from "../copy/local-archive.ts";
import type { ComposeApp } from "./app.ts";
import { buildOptions } from "./build-output.ts";

export interface WatchOptions {
  readonly signal: AbortSignal;
  readonly isQuiet?: boolean;
  readonly isPruning?: boolean;
}

/** Changes that come together are one: an editor writes a file in several steps. */
const settleMs = 200;

/** Watches until the signal. */
export async function watchProject(app: ComposeApp, project: Project, options: WatchOptions): Promise<void> {
  const triggers = watchTriggers(project, (message) => app.warn(message));
  const changed = new Set<string>();
  let wake = Promise.withResolvers<void>();
  const watchers = [...new Set(triggers.map(({ rule }) => rule.path))].map((path) =>
    watchPath(path, (file) => {
      changed.add(file);
      wake.resolve();
    }),
  );
  const stop = new Promise<void>((resolve) => {
    if (options.signal.aborted) resolve();
    else options.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const worker = new Worker(app, project, options);
  app.say("Watch enabled");
  try {
    await worker.initialSync(triggers);
    while (!options.signal.aborted) {
      await Promise.race([wake.promise, stop]);
      if (options.signal.aborted) break;
      await Promise.race([delay(settleMs), stop]);
      const files = [...changed];
      changed.clear();
      wake = Promise.withResolvers<void>();
      await worker.handle(triggers, files);
    }
  } finally {
    for (const watcher of watchers) watcher.close();
  }
}

function watchPath(path: string, onChange: (file: string) => void): FSWatcher {
  const isDirectory = statSync(path).isDirectory();
  const watcher = watch(path, { recursive: isDirectory }, (_event, name) => {
    onChange(isDirectory && name !== null ? join(path, name) : path);
  });
  // A directory that is taken away ends its watcher; the others go on.
  watcher.on("error", () => {});
  return watcher;
}

class Worker {
  readonly #app: ComposeApp;
  readonly #project: Project;
  readonly #options: WatchOptions;

  constructor(app: ComposeApp, project: Project, options: WatchOptions) {
    this.#app = app;
    this.#project = project;
    this.#options = options;
  }

  async initialSync(triggers: readonly Trigger[]): Promise<void> {
    for (const trigger of triggers) {
      if (trigger.rule.initial_sync === true) await this.#sync(trigger, [trigger.rule.path]);
    }
  }

  /** Does what the changes ask for. A failure is told, and the watch goes on. */
  async handle(triggers: readonly Trigger[], files: readonly string[]): Promise<void> {
    const rebuild = new Set<string>();
    const restart = new Set<string>();
    const execs: Trigger[] = [];
    for (const trigger of triggers) {
      const own = files.filter((file) => isWanted(trigger, file));
      if (own.length === 0) continue;
      const { action } = trigger.rule;
      try {
        if (action === "rebuild") rebuild.add(trigger.service);
        else if (action === "restart") restart.add(trigger.service);
        else await this.#sync(trigger, own);
        if (action === "sync+restart") restart.add(trigger.service);
        if (action === "sync+exec") execs.push(trigger);
      } catch (error) {
        this.#say(`Error handling changed files for service "${trigger.service}": ${errorText(error)}`);
      }
    }
    for (const trigger of execs)
      if (!rebuild.has(trigger.service)) await this.#guarded(() => this.#exec(trigger));
    for (const service of rebuild) await this.#guarded(() => this.#rebuild(service));
    for (const service of restart)
      if (!rebuild.has(service)) await this.#guarded(() => this.#restart(service));
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#app.finish();
      this.#say(`Error: ${errorText(error)}`);
    }
  }

  #say(text: string): void {
    this.#app.say(text);
  }

  async #containers(service: string): Promise<Observed[]> {
    const running = await listContainers(this.#app.context.client, this.#project.name, { all: false });
    return running.filter((each) => each.service === service);
  }

  async #sync(trigger: Trigger, files: readonly string[]): Promise<void> {
    const { client } = this.#app.context;
    const { service, rule } = trigger;
    const target = rule.target!;
    const containers = await this.#containers(service);
    this.#say(
      `Syncing service "${service}" after ${files.length} change${files.length === 1 ? " was" : "s were"} detected`,
    );
    for (const file of files) {
      const inner = relative(rule.path, file);
      const path = inner === "" ? target : posix.join(target, inner);
      for (const { id } of containers) {
        if (existsSync(file)) {
          const isCopied = (below: string, isDirectory: boolean): boolean =>
            isWantedInside(trigger, posix.join(inner, below), isDirectory);
          await copyIn(client, id, { file, path, isCopied });
        } else await removeIn(client, id, path);
      }
    }
  }

  async #exec({ service, rule }: Trigger): Promise<void> {
    if (rule.exec === undefined) return;
    const { exec: hook } = rule;
    const { client } = this.#app.context;
    for (const container of await this.#containers(service))
      await runHook({ client }, container, { hook, kind: "watch" });
  }

  async #restart(service: string): Promise<void> {
    this.#say(`Restarting service "${service}" after changes were detected...`);
    for (const { id } of await this.#containers(service)) await this.#app.context.client.containerRestart(id);
  }

  async #rebuild(service: string): Promise<void> {
    this.#say(`Rebuilding service "${service}" after changes were detected...`);
    const project = withServices(this.#project, [service], "nothing");
    const { client } = this.#app.context;
    const old = await client
      .imageInspect(project.services[service]!.image ?? `${project.name}${project.separator}${service}`)
      .catch(() => undefined);
    await this.#app.during("Rebuilding", async (session) => {
      const { containers } = await createProject(session, project, {
        services: [service],
        recreate: "diverged",
        recreateDependencies: "never",
        removeOrphans: false,
        renewVolumes: false,
        build: true,
        buildOptions: buildOptions(this.#app, this.#options.isQuiet === true),
      });
      await startProject(session, project, containers);
    });
    if (this.#options.isPruning === true && old !== undefined) {
      // Who still uses it keeps it.
      await client.imageRemove(old.Id).catch(() => {});
    }
    this.#say(`service "${service}" successfully built`);
  }
}

type Client = ComposeApp["context"]["client"];

interface Copy {
  readonly file: string;
  /** Where it belongs in the container. */
  readonly path: string;
  readonly isCopied: (inner: string, isDirectory: boolean) => boolean;
}

async function copyIn(client: Client, id: string, { file, path, isCopied }: Copy): Promise<void> {
  const parent = posix.dirname(path);
  await makeDirectory(client, id, parent);
  await client.containerExtract(id, parent, packLocal(file, posix.basename(path), isCopied));
}

async function makeDirectory(client: Client, id: string, path: string): Promise<void> {
  if (path === "/" || path === ".") return;
  try {
    await client.containerStatPath(id, path);
  } catch {
    const { tarDirectory } = await import("../../compose/tar.ts");
    await client.containerExtract(id, "/", tarDirectory(path.replace(/^\//, "")));
  }
}

/** What is gone here is to be gone there; the API has no word for it, so the container's own rm does it. */
async function removeIn(client: Client, id: string, path: string): Promise<void> {
  await runHook(
    { client },
    { id, name: id.slice(0, 12) },
    {
      hook: { command: ["rm", "-rf", path], user: "root" },
      kind: "watch",
    },
  );
}
