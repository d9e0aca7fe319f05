/** The foreground of `up`: output of all containers until they end, or until somebody stops them. */
import { listContainers } from "../../compose/engine.ts";
import type { Ready } from "../../compose/act/converge.ts";
import { startProject } from "../../compose/act/start.ts";
import { stopProject } from "../../compose/act/stop-project.ts";
import type { Project } from "../../compose/model/project.ts";
import { isNotFound } from "../../client/errors.ts";
import type { ComposeApp } from "./app.ts";
import { Follower } from "./follow.ts";
import type { Ended, Followed } from "./follow-track.ts";
import { LogView } from "./log-view.ts";
import { canHaveMenu, Menu } from "./menu.ts";
import { WatchSwitch } from "./watch-switch.ts";

export interface AttachedRun {
  /** When the command began, ms since the epoch: what was said before is not shown. */
  readonly beganMs: number;
  readonly project: Project;
  readonly containers: ReadonlyMap<string, readonly Ready[]>;
  /** The services that were asked for; all when there are none. They are waited for, and stopped at the end. */
  readonly asked: readonly string[];
  /** Services whose output is shown. */
  readonly shown: ReadonlySet<string>;
  readonly abortOnExit: boolean;
  readonly abortOnFailure: boolean;
  readonly exitCodeFrom: string;
  readonly timestamps: boolean;
  readonly colours: boolean;
  readonly prefix: boolean;
  readonly watch: boolean;
  /** Shows shortcuts on a terminal. */
  readonly menu: boolean;
  readonly timeoutSeconds?: number;
}

/** Exit code of a program that was interrupted. */
const interrupted = 130;

/** Starts the containers and shows what they say. Returns the exit code. */
export async function runAttached(app: ComposeApp, run: AttachedRun): Promise<number> {
  const { project, containers } = run;
  const view = new LogView({
    colours: run.colours && app.hasAnsi(1),
    prefix: run.prefix,
    onTerminal: (fd, lines) => app.writeAbove(fd, lines),
  });
  const stopping = new Stopping(app, run, view);
  using follower = await openFollower(app, run, { view, stopping });
  using _signals = stopping.listen(follower);
  const all = [...containers.values()].flat();
  const named = (container: Ready): Followed => ({ ...container, name: shownName(project, container) });
  const names = all.filter(({ service }) => run.shown.has(service)).map((each) => shownName(project, each));
  // Names are shown in one width, and in colours that do not depend on who is quickest.
  for (const name of names.sort()) view.register(name);
  app.finish();
  app.context.print(`Attaching to ${names.join(", ")}\n`);
  const attach = async (container: Ready): Promise<void> => {
    const tty = project.services[container.service]?.tty === true;
    await follower.attach(named(container), { tty, isRunning: container.isRunning });
  };
  for (const container of all) follower.expect(named(container));
  for (const container of all) if (container.isRunning) await attach(container);
  follower.begin();
  try {
    await startProject({ ...app.session("Starting", true), report: () => {} }, project, containers, {
      beforeStart: attach,
      signal: stopping.signal,
    });
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
  } finally {
    app.finish();
  }
  if (!stopping.signal.aborted && (await goesOnAlone(app, run, { follower, stopping }))) return 0;
  return await stopping.finish(follower);
}

/**
 * Waits until everything that is waited for has ended, and the watch with it, or is about to be stopped. True when it is to
 * go on without anybody who listens.
 */
async function goesOnAlone(
  app: ComposeApp,
  { project, watch: isWatching, menu: isMenuWanted }: AttachedRun,
  { follower, stopping }: { readonly follower: Follower; readonly stopping: Stopping },
): Promise<boolean> {
  const left = Promise.withResolvers<boolean>();
  const stopped = stopping.done.then(() => false);
  stopped.catch(() => {});
  let menu: Menu | undefined;
  const watch = new WatchSwitch(app, project, () => menu?.update());
  if (isMenuWanted && canHaveMenu(app)) {
    menu = Menu.open(app, {
      shortcuts: () => [
        ["w", watch.isOn ? "Disable Watch" : "Enable Watch"],
        ["d", "Detach"],
      ],
      onKey(key) {
        if (key === "w") watch.toggle();
        else if (key === "d") left.resolve(true);
      },
    });
  }
  using _menu = menu;
  stopping.signal.addEventListener("abort", () => {
    watch.stop();
    menu?.close();
  });
  if (isWatching) watch.start();
  const waited = async (): Promise<boolean> => {
    await follower.ended();
    await watch.ended();
    return false;
  };
  const isAlone = await Promise.race([waited(), stopped, left.promise]);
  if (stopping.signal.aborted) return false;
  watch.stop();
  if (isAlone) await watch.ended();
  return isAlone;
}

/**
 * As Docker Compose waits: for what was asked for, else for everything whose output is shown; and for the service whose exit
 * code is wanted, whether or not it is among these.
 */
async function openFollower(
  app: ComposeApp,
  { project, asked, shown, timestamps, exitCodeFrom, beganMs }: AttachedRun,
  { view, stopping }: { readonly view: LogView; readonly stopping: Stopping },
): Promise<Follower> {
  const wanted = exitCodeFrom === "" ? [] : [exitCodeFrom];
  const named = new Set([...asked, ...shown, ...wanted]);
  const followed = named.size === 0 ? new Set(Object.keys(project.services)) : named;
  return await Follower.open(app.context.client, view, {
    project: project.name,
    timestamps,
    beganMs,
    isOfInterest: (service) => followed.has(service),
    required: asked.length === 0 ? followed : new Set([...asked, ...wanted]),
    isShown: (service) => shown.has(service),
    onEnd: (ended) => stopping.ended(ended),
    warn: (message) => app.warn(message),
  });
}

function shownName({ name: project, separator }: Project, { name, service, number }: Ready): string {
  return name === [project, service, number].join(separator) ? `${service}${separator}${number}` : name;
}

/** Ctrl-C once stops, twice kills; so does the first container that ends, where that is asked for. */
class Stopping {
  readonly #app: ComposeApp;
  readonly #run: AttachedRun;
  readonly #view: LogView;
  readonly #abort = new AbortController();
  readonly #done = Promise.withResolvers<void>();
  #signals = 0;
  #exitCode = 0;
  #isStopping = false;

  constructor(app: ComposeApp, run: AttachedRun, view: LogView) {
    this.#app = app;
    this.#run = run;
    this.#view = view;
    this.#done.promise.catch(() => {});
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Settles when everything has been stopped. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  listen(follower: Follower): Disposable {
    this.signal.addEventListener("abort", () => follower.expectNoRestarts(), { once: true });
    const onSignal = (): void => {
      this.#signals++;
      if (this.#signals === 1) {
        this.#exitCode = interrupted;
        this.#begin("Gracefully stopping... (press Ctrl+C again to force)");
      } else if (this.#signals === 2) void this.#kill();
    };
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
    return { [Symbol.dispose]: () => void process.off("SIGINT", onSignal).off("SIGTERM", onSignal) };
  }

  ended({ service, exitCode }: Ended): void {
    const { abortOnExit, abortOnFailure, exitCodeFrom } = this.#run;
    if (service === exitCodeFrom && this.#signals === 0) this.#exitCode = exitCode;
    if (this.#isStopping || !(abortOnExit || (abortOnFailure && exitCode !== 0))) return;
    if (exitCodeFrom === "") this.#exitCode = exitCode;
    this.#begin("Aborting on container exit...");
  }

  /** The exit code, once stopping has ended. */
  async finish(follower: Follower): Promise<number> {
    if (!this.#isStopping) return this.#exitCode;
    await this.#done.promise;
    // The last words, and the exit code that was asked for, may still be on their way.
    if (this.#signals === 0) await follower.ended();
    return this.#exitCode;
  }

  #begin(message: string): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#abort.abort();
    if (this.#signals > 0) this.#view.silence();
    this.#app.say(message);
    this.#stop().then(this.#done.resolve, this.#done.reject);
  }

  async #stop(): Promise<void> {
    const { project, timeoutSeconds } = this.#run;
    const session = this.#app.session("Stopping");
    try {
      await stopProject(session, project, {
        services: this.#run.asked.length > 0 ? this.#run.asked : Object.keys(project.services),
        ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
      });
    } finally {
      this.#app.finish();
    }
  }

  async #kill(): Promise<void> {
    const { client } = this.#app.context;
    const { project, asked } = this.#run;
    const running = await listContainers(client, project.name, { all: false }).catch(() => []);
    await Promise.all(
      running
        .filter(({ service }) => (asked.length > 0 ? asked.includes(service) : service in project.services))
        .map(({ id }) =>
          client.containerKill(id).catch((error: unknown) => {
            if (!isNotFound(error)) this.#app.say(String(error));
          }),
        ),
    );
  }
}
