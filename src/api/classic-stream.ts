/** A build's events in the words of Docker's classic builder: step after step in the file's order, whatever ran at once. */
import type { BuildEvent } from "../build/build.ts";
import { clippedWords, LogClip } from "./log-clip.ts";

/** Messages of the stream. */
export interface ClassicMessage {
  readonly stream?: string;
  readonly aux?: unknown;
  readonly errorDetail?: { readonly code?: number; readonly message: string };
  readonly error?: string;
}

interface Step {
  readonly messages: ClassicMessage[];
  isDone: boolean;
  /** The last line, ` ---> id`, told when the step is done. */
  id: string | undefined;
}

type StepEvent = Extract<BuildEvent, { kind: "step" }>;

const short = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);
const line = (text: string): ClassicMessage => ({ stream: text });

export class ClassicStream {
  readonly #send: (message: ClassicMessage) => void;
  readonly #steps = new Map<number, Step>();
  readonly #stepOfVertex = new Map<string, number>();
  readonly #decoders = new Map<string, TextDecoder>();
  readonly #clip = new LogClip();
  /** The step that is being told; those after it wait. */
  #current = 1;
  #total = Infinity;

  constructor(send: (message: ClassicMessage) => void) {
    this.#send = send;
  }

  onEvent(event: BuildEvent): void {
    if (event.kind === "step") this.#onStep(event);
    else if (event.kind === "log") {
      const index = this.#stepOfVertex.get(event.vertex);
      if (index !== undefined) this.#tell(index, line(this.#decode(event.vertex + event.stream, event.data)));
    }
  }

  #decode(key: string, data: Uint8Array): string {
    let decoder = this.#decoders.get(key);
    if (decoder === undefined) this.#decoders.set(key, (decoder = new TextDecoder()));
    return decoder.decode(data, { stream: true });
  }

  #onStep(event: StepEvent): void {
    const { index, total, text, id } = event;
    this.#total = total;
    this.#stepOfVertex.set(event.vertex, index);
    switch (event.state) {
      case "begin":
        this.#tell(index, line(`Step ${index}/${total} : ${text}`));
        this.#tell(index, line("\n"));
        break;
      case "cached":
        this.#tell(index, line(" ---> Using cache\n"));
        break;
      case "running":
        this.#tell(index, line(` ---> Running in ${short(id ?? "")}\n`));
        break;
      case "removed":
        this.#tell(index, line(`Removing intermediate container ${short(id ?? "")}\n`));
        break;
      case "done":
        this.#done(index, id);
        break;
    }
  }

  #step(index: number): Step {
    let step = this.#steps.get(index);
    if (step === undefined) this.#steps.set(index, (step = { messages: [], isDone: false, id: undefined }));
    return step;
  }

  #tell(index: number, message: ClassicMessage): void {
    if (message.stream === "") return;
    if (index === this.#current) this.#send(message);
    else if (index > this.#current) {
      // It waits for the steps before it, however long those take.
      const how = this.#clip.take(String(index), message.stream?.length ?? 0);
      if (how !== "drop") this.#step(index).messages.push(how === "keep" ? message : line(clippedWords));
    }
  }

  #done(index: number, id: string | undefined): void {
    const step = this.#step(index);
    step.isDone = true;
    step.id = id;
    while (this.#steps.get(this.#current)?.isDone === true) {
      const { id: made } = this.#steps.get(this.#current)!;
      // The last one's is the image's own, which is known at the end.
      if (made !== undefined && this.#current < this.#total) this.#send(line(` ---> ${short(made)}\n`));
      this.#steps.delete(this.#current);
      this.#current += 1;
      for (const message of this.#steps.get(this.#current)?.messages ?? []) this.#send(message);
    }
  }

  /** The build has failed: what the failed step has told is told, whatever came before it in the file. */
  flushVertex(vertex: string | undefined): void {
    const index = vertex === undefined ? undefined : this.#stepOfVertex.get(vertex);
    if (index === undefined || index <= this.#current) return;
    for (const message of this.#steps.get(index)?.messages ?? []) this.#send(message);
  }

  finish(imageId: string | undefined, names: readonly string[]): void {
    if (imageId === undefined) return;
    this.#send(line(` ---> ${short(imageId)}\n`));
    this.#send({ aux: { ID: imageId } });
    this.#send(line(`Successfully built ${short(imageId)}\n`));
    for (const name of names) this.#send(line(`Successfully tagged ${name}\n`));
  }
}
