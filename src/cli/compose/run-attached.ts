/** The foreground of `up`: output of all containers until they end, or until somebody stops them. */
import { listContainers } from "../../compose/engine.ts";
import type { Ready } from "../../compose/act/converge.ts";
import { startProject } from "../../compose/act/start.ts";
import { stopProject } from "../../compose/act/stop-project.ts";
import type { Project } from "../../compose/model/project.ts";
import { isNotFound } from "../../client/errors.ts";
import type { ComposeApp } from "./app.ts";
import { Follower, type Ended } from "./follow.ts";
import { LogView } from "./log-view.ts";

export interface AttachedRun {
  readonly project: Project;
  readonly containers: ReadonlyMap<string, readonly Ready[]>;
  /** Services whose output is shown. */
  readonly shown: ReadonlySet<string>;
  readonly abortOnExit: boolean;
  readonly abortOnFailure: boolean;
  readonly exitCodeFrom: string;
  readonly timestamps: boolean;
  readonly colours: boolean;
  readonly prefix: boolean;
  readonly watch: boolean;
  readonly timeoutSeconds?: number;
}

/** Exit code of a program that was interrupted. */
const interrupted = 130;

/** Starts the containers and shows what they say. Returns the exit code. */
export async function runAttached(app: ComposeApp, run: AttachedRun): Promise<number> {
  const { project, containers } = run;
  const { client } = app.context;
  const view = new LogView({ colours: run.colours && app.hasAnsi(1), prefix: run.prefix });
  const stopping = new Stopping(app, run, view);
  const follower = new Follower(client, view, {
    timestamps: run.timestamps,
    onEnd: (ended) => stopping.ended(ended),
  });
  const attach = async (container: Ready): Promise<void> => {
    const name = shownName(project, container);
    const tty = project.services[container.service]?.tty === true;
    await follower.attach({ ...container, name }, tty, !run.shown.has(container.service));
  };
  using _signals = stopping.listen();
  const all = [...containers.values()].flat();
  const names = all.filter(({ service }) => run.shown.has(service)).map((each) => shownName(project, each));
  // Names are shown in one width, and in colours that do not depend on who is quickest.
  for (const name of names.sort()) view.register(name);
  app.finish();
  app.context.print(`Attaching to ${names.join(", ")}\n`);
  for (const container of all) if (container.isRunning) await attach(container);
  try {
    await startProject({ ...app.session("Starting", true), report: () => {} }, project, containers, {
      beforeStart: attach,
      signal: stopping.signal,
    });
  } catch (error) {
    if (!stopping.signal.aborted) {
      follower.close();
      throw error;
    }
  } finally {
    app.finish();
  }
  const watching =
    run.watch && !stopping.signal.aborted ? startWatch(app, run, attach, stopping.signal) : undefined;
  await Promise.race([follower.ended(), stopping.done]);
  if (watching !== undefined && !stopping.signal.aborted) await Promise.race([watching, stopping.done]);
  return await stopping.finish();
}

async function startWatch(
  app: ComposeApp,
  { project }: AttachedRun,
  attach: (container: Ready) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { watchProject } = await import("./watch-project.ts");
  await watchProject(app, project, { signal, onRecreated: attach });
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

  listen(): Disposable {
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

  ended({ service, exitCode, name }: Ended): void {
    const { abortOnExit, abortOnFailure, exitCodeFrom } = this.#run;
    if (service === exitCodeFrom && this.#signals === 0) this.#exitCode = exitCode;
    if (this.#isStopping || !(abortOnExit || (abortOnFailure && exitCode !== 0))) return;
    if (exitCodeFrom === "") this.#exitCode = exitCode;
    this.#begin(`Aborting on container exit: ${name} exited with code ${exitCode}`);
  }

  /** The exit code, once stopping has ended. */
  async finish(): Promise<number> {
    if (this.#isStopping) await this.#done.promise;
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
        services: Object.keys(project.services),
        ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
      });
    } finally {
      this.#app.finish();
    }
  }

  async #kill(): Promise<void> {
    const { client } = this.#app.context;
    const { project } = this.#run;
    const running = await listContainers(client, project.name, { all: false }).catch(() => []);
    await Promise.all(
      running
        .filter(({ service }) => project.services[service] !== undefined)
        .map(({ id }) =>
          client.containerKill(id).catch((error: unknown) => {
            if (!isNotFound(error)) this.#app.say(String(error));
          }),
        ),
    );
  }
}
