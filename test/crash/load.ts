/** A mixed load on a daemon that may end at any moment: every answer goes into the ledger. */
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import type Docker from "dockerode";
import type { TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { type Entry, isSound, type Ledger, type State, stateOf } from "./ledger.ts";
import type { Supplies } from "./supplies.ts";

/** Numbers in [0, 1) that are the same for the same seed (mulberry32, public domain). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const counter = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done"];

/** What a worker does in one step, and how often of a hundred. */
const usualShares = {
  container: 52,
  oneShot: 8,
  network: 10,
  volume: 8,
  tag: 4,
  build: 6,
  load: 4,
  commit: 4,
  pull: 4,
};
export type Work = keyof typeof usualShares;

/** One client with objects of its own, so that what it expects never depends on another. */
export class Worker {
  readonly #daemon: TestDaemon;
  readonly #supplies: Supplies;
  readonly #random: () => number;
  readonly #number: number;
  readonly #containers: Entry[];
  readonly #oneShot: Entry;
  readonly #network: Entry;
  readonly #volume: Entry;
  readonly #images: Readonly<Record<"tag" | "build" | "load" | "commit" | "pull", Entry>>;
  #killed: Promise<boolean> = Promise.resolve(false);
  /** What most of the steps are of; all kinds by their usual shares without. */
  favourite: Work | undefined;
  /** True: an answer that tells of a fail point is no fault of the daemon's; what became of the object is looked at. */
  isForgiving = false;
  /** True: the request that is under way is the last. */
  isStopping = false;
  requests = 0;
  /** The fail points that answers told of. */
  readonly toldOf = new Set<string>();

  constructor(
    daemon: TestDaemon,
    ledger: Ledger,
    options: { readonly number: number; readonly seed: number; readonly supplies: Supplies },
  ) {
    const { number, supplies } = options;
    const prefix = `crash-${number}`;
    this.#daemon = daemon;
    this.#supplies = supplies;
    this.#number = number;
    this.#random = randomFrom(options.seed * 31 + number);
    this.#containers = [1, 2].map((each) => ledger.add("container", `${prefix}-box-${each}`));
    this.#oneShot = ledger.add("container", `${prefix}-once`);
    this.#network = ledger.add("network", `${prefix}-net`);
    this.#volume = ledger.add("volume", `${prefix}-data`);
    const image = (name: string): Entry => ledger.add("image", name);
    this.#images = {
      tag: image(`${prefix}/tagged:1`),
      build: image(`${prefix}/built:1`),
      load: image(supplies.loadedName(number)),
      commit: image(`${prefix}/committed:1`),
      pull: image(supplies.pulledName(number)),
    };
  }

  /**
   * Works until the daemon no longer answers, or `killed` is over: not every client notices that its connection has
   * gone. Throws when the daemon answers with an error, which nothing here explains.
   */
  async work(killed: Promise<void>): Promise<void> {
    this.#killed = killed.then(() => false);
    while (!this.isStopping && (await this.#step())) this.requests += 1;
  }

  #pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!;
  }

  #kind(): Work {
    if (this.favourite !== undefined && this.#random() < 0.6) return this.favourite;
    let left = this.#random() * 100;
    for (const [kind, share] of Object.entries(usualShares) as [Work, number][])
      if ((left -= share) < 0) return kind;
    return "container";
  }

  #step(): Promise<boolean> {
    const kind = this.#kind();
    switch (kind) {
      case "container":
        return this.#stepContainer(this.#pick(this.#containers));
      case "oneShot":
        return this.#stepOneShot();
      case "network":
        return this.#stepNetwork();
      case "volume":
        return this.#stepVolume();
      default:
        return this.#stepImage(kind);
    }
  }

  #stepContainer(entry: Entry): Promise<boolean> {
    const container = this.#daemon.client.getContainer(entry.name);
    const remove = (): Promise<boolean> =>
      this.#change(entry, "absent", () => container.remove({ force: true, v: true }));
    if (entry.state === "absent") return this.#createContainer(entry);
    if (entry.state !== "running") {
      if (this.#random() < 0.3) return remove();
      return this.#change(entry, "running", async () => {
        await container.start();
        entry.pid = 0;
      });
    }
    return this.#pick([
      remove,
      () =>
        this.#change(entry, "exited", async () => {
          await container.kill();
          // The answer says that the signal was sent.
          await container.wait();
        }),
      () => this.#change(entry, "exited", () => container.stop({ t: 0 })),
      () => this.#ask(() => this.#execTrue(entry.name)),
      () => this.#connect(entry),
      () => this.#disconnect(entry),
    ])();
  }

  #createContainer(entry: Entry): Promise<boolean> {
    const network = this.#network.state === "present" && this.#random() < 0.5 ? this.#network.name : "bridge";
    const volume = this.#volume.state === "present" && this.#random() < 0.5 ? this.#volume.name : undefined;
    entry.uses = [network, ...(volume === undefined ? [] : [volume])];
    return this.#change(entry, "created", () =>
      this.#daemon.client.createContainer({
        name: entry.name,
        Image: busybox,
        Cmd: counter,
        ExposedPorts: { "80/tcp": {} },
        ...(this.#random() < 0.3 ? { Volumes: { "/anonymous": {} } } : {}),
        HostConfig: {
          NetworkMode: network,
          PublishAllPorts: this.#random() < 0.5,
          // An empty volume gets what the image has there.
          ...(volume === undefined ? {} : { Binds: [`${volume}:/etc`] }),
        },
      }),
    );
  }

  /** `run --rm`: nothing of it is there after the answer. */
  #stepOneShot(): Promise<boolean> {
    const entry = this.#oneShot;
    const { client } = this.#daemon;
    if (entry.state !== "absent")
      return this.#change(entry, "absent", () => removeIfThere(client.getContainer(entry.name)));
    return this.#change(entry, "absent", async () => {
      const container = await client.createContainer({
        name: entry.name,
        Image: busybox,
        Cmd: ["true"],
        Volumes: { "/anonymous": {} },
        HostConfig: { AutoRemove: true },
      });
      const removed = container.wait({ condition: "removed" });
      removed.catch(() => {});
      await container.start();
      await removed;
    });
  }

  async #execTrue(name: string): Promise<void> {
    const exec = await this.#daemon.client.getContainer(name).exec({ Cmd: ["true"], AttachStdout: true });
    const stream = await exec.start({});
    // Knows of an end that has come already, unlike a listener.
    await finished(stream.resume(), { writable: false });
  }

  #connect(entry: Entry): Promise<boolean> {
    if (this.#network.state !== "present" || entry.uses.includes(this.#network.name))
      return Promise.resolve(true);
    const network = this.#daemon.client.getNetwork(this.#network.name);
    // From here on the network may have an endpoint, whatever becomes of the answers.
    entry.uses = [...entry.uses, this.#network.name];
    return this.#ask(() => network.connect({ Container: entry.name }));
  }

  #disconnect(entry: Entry): Promise<boolean> {
    const { name } = this.#network;
    if (this.#network.state !== "present" || !entry.uses.includes(name)) return Promise.resolve(true);
    return this.#ask(async () => {
      await onlyFor(this.#daemon.client.getNetwork(name).disconnect({ Container: entry.name }), 404);
      entry.uses = entry.uses.filter((used) => used !== name);
    });
  }

  #isUsed(name: string): boolean {
    return this.#containers.some(({ state, uses }) => state !== "absent" && uses.includes(name));
  }

  #stepNetwork(): Promise<boolean> {
    const { client } = this.#daemon;
    const { name } = this.#network;
    if (this.#network.state === "absent")
      return this.#change(this.#network, "present", () => client.createNetwork({ Name: name }));
    if (this.#isUsed(name)) return this.#ask(() => client.getNetwork(name).inspect());
    return this.#change(this.#network, "absent", () => client.getNetwork(name).remove());
  }

  #stepVolume(): Promise<boolean> {
    const { client } = this.#daemon;
    const { name } = this.#volume;
    if (this.#volume.state === "absent")
      return this.#change(this.#volume, "present", () => client.createVolume({ Name: name }));
    if (this.#isUsed(name)) return this.#ask(() => client.getVolume(name).inspect());
    return this.#change(this.#volume, "absent", () => client.getVolume(name).remove());
  }

  #stepImage(kind: "tag" | "build" | "load" | "commit" | "pull"): Promise<boolean> {
    const entry = this.#images[kind];
    const { client } = this.#daemon;
    if (entry.state !== "absent")
      return this.#change(entry, "absent", () => client.getImage(entry.name).remove());
    const [repo, tag] = splitName(entry.name);
    const source = this.#containers.find(({ state }) => state !== "absent");
    switch (kind) {
      case "tag":
        return this.#change(entry, "present", () => client.getImage(busybox).tag({ repo, tag }));
      case "build":
        return this.#change(entry, "present", () => this.#build(entry.name));
      case "load":
        return this.#change(entry, "present", async () =>
          this.#follow(await client.loadImage(Readable.from([this.#supplies.archive(this.#number)]))),
        );
      case "pull":
        return this.#change(entry, "present", async () => this.#follow(await client.pull(entry.name)));
      case "commit":
        if (source === undefined) return Promise.resolve(true);
        return this.#change(entry, "present", () =>
          client.getContainer(source.name).commit({ repo, tag, pause: false }),
        );
    }
  }

  async #build(name: string): Promise<void> {
    const buildargs = { variant: `${this.#number}-${Math.floor(this.#random() * 4)}` };
    const context = Readable.from([this.#supplies.buildContext()]);
    const stream = await this.#daemon.client.buildImage(context, { t: name, buildargs });
    await this.#follow(stream);
  }

  /** Reads a stream of progress to its end. Throws what it tells of, with the daemon's words. */
  #follow(stream: NodeJS.ReadableStream): Promise<void> {
    return new Promise((resolve, reject) => {
      stream.once("aborted", () => reject(new Error("the stream was cut")));
      this.#daemon.client.modem.followProgress(stream, (error, messages) => {
        const told =
          error ?? (messages as { error?: string }[]).find((message) => message.error !== undefined);
        if (told === undefined || told === null) resolve();
        else if (told instanceof Error) reject(told);
        else reject(Object.assign(new Error(told.error), { statusCode: 500 }));
      });
    });
  }

  /** A request after which `entry` is as `target` says; without an answer nobody knows. */
  async #change(entry: Entry, target: State, request: () => Promise<unknown>): Promise<boolean> {
    entry.state = "unknown";
    const outcome = await this.#outcomeOf(request);
    if (outcome === "answered") entry.state = target;
    if (outcome === "failed") return this.#ask(() => this.#lookAt(entry));
    return outcome === "answered";
  }

  /** False when the daemon is gone. */
  async #ask(request: () => Promise<unknown>): Promise<boolean> {
    return (await this.#outcomeOf(request)) !== "gone";
  }

  async #outcomeOf(request: () => Promise<unknown>): Promise<"answered" | "failed" | "gone"> {
    try {
      const isAnswered = await Promise.race([request().then(() => true), this.#killed]);
      return isAnswered ? "answered" : "gone";
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === undefined) return "gone";
      const point = /fail point ([\w.-]+)/.exec(String(error))?.[1];
      if (!this.isForgiving || point === undefined) throw error;
      this.toldOf.add(point);
      return "failed";
    }
  }

  /** What became of an object whose change has failed: it is whole or not there, in the end. */
  async #lookAt(entry: Entry): Promise<void> {
    await eventually(
      async () => {
        entry.state = await stateOf(this.#daemon, entry);
        return isSound(entry.kind, entry.state);
      },
      { timeoutMs: 60_000, what: `${entry.kind} ${entry.name} to be whole or gone` },
    );
    entry.pid = 0;
  }
}

function splitName(name: string): [string, string] {
  const at = name.lastIndexOf(":");
  return [name.slice(0, at), name.slice(at + 1)];
}

/** What ended by itself meanwhile need not be removed. */
function removeIfThere(container: Docker.Container): Promise<void> {
  return onlyFor(container.remove({ force: true, v: true }), 404, 409);
}

/** Takes an answer with one of these statuses for the state that was asked for. */
async function onlyFor(request: Promise<unknown>, ...statuses: number[]): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!statuses.includes((error as { statusCode?: number }).statusCode ?? 0)) throw error;
  }
}
