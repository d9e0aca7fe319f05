/** A watch of sources that is turned on and off while containers run. */
import { errorText } from "../../base/errors.ts";
import type { Project } from "../../compose/model/project.ts";
import type { ComposeApp } from "./app.ts";

export class WatchSwitch {
  readonly #app: ComposeApp;
  readonly #project: Project;
  readonly #onChange: () => void;
  #abort: AbortController | undefined;
  #latest: AbortController | undefined;
  #running: Promise<void> | undefined;

  constructor(app: ComposeApp, project: Project, onChange: () => void) {
    this.#app = app;
    this.#project = project;
    this.#onChange = onChange;
  }

  get isOn(): boolean {
    return this.#abort !== undefined;
  }

  /** On when it is off, and the other way round; a watch that cannot be is told. */
  toggle(): void {
    if (this.#abort === undefined) return this.start();
    this.stop();
    this.#app.say("Watch disabled");
  }

  stop(): void {
    if (this.#abort === undefined) return;
    this.#abort.abort();
    this.#abort = undefined;
    this.#onChange();
  }

  start(): void {
    const abort = new AbortController();
    this.#abort = abort;
    this.#onChange();
    this.#latest = abort;
    this.#running = this.#watch(abort, this.#running);
  }

  /** Resolves when it is off. */
  async ended(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #watch(abort: AbortController, before: Promise<void> | undefined): Promise<void> {
    // What the one before is still doing comes first.
    await before;
    try {
      const { watchProject } = await import("./watch-project.ts");
      await watchProject(this.#app, this.#project, { signal: abort.signal });
    } catch (error) {
      this.#app.finish();
      this.#app.say(`Watch: ${errorText(error)}`);
    }
    if (this.#latest === abort) this.#running = undefined;
    if (this.#abort !== abort) return;
    this.#abort = undefined;
    this.#onChange();
  }
}
