/** A mixed load on a daemon that may end at any moment: every answer goes into the ledger. */
import { finished } from "node:stream/promises";
import type { TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import type { Entry, Kind, Ledger, State } from "./ledger.ts";

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

/** One client with objects of its own, so that what it expects never depends on another. */
export class Worker {
  readonly #daemon: TestDaemon;
  readonly #random: () => number;
  readonly #containers: Entry[];
  readonly #network: Entry;
  readonly #volume: Entry;
  readonly #image: Entry;
  #killed: Promise<boolean> = Promise.resolve(false);
  requests = 0;

  constructor(
    daemon: TestDaemon,
    ledger: Ledger,
    options: { readonly number: number; readonly seed: number },
  ) {
    const prefix = `crash-${options.number}`;
    this.#daemon = daemon;
    this.#random = randomFrom(options.seed * 31 + options.number);
    this.#containers = [1, 2].map((number) => ledger.add("container", `${prefix}-box-${number}`));
    this.#network = ledger.add("network", `${prefix}-net`);
    this.#volume = ledger.add("volume", `${prefix}-data`);
    this.#image = ledger.add("image", `${prefix}/image:1`);
  }

  /**
   * Works until the daemon no longer answers, or `killed` is over: not every client notices that its connection has
   * gone. Throws when the daemon answers with an error, which nothing here explains.
   */
  async work(killed: Promise<void>): Promise<void> {
    this.#killed = killed.then(() => false);
    while (await this.#step()) this.requests += 1;
  }

  #pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!;
  }

  #step(): Promise<boolean> {
    const others: readonly Kind[] = ["network", "volume", "image"];
    if (this.#random() < 0.7) return this.#stepContainer(this.#pick(this.#containers));
    const kind = this.#pick(others);
    if (kind === "network") return this.#stepNetwork();
    return kind === "volume" ? this.#stepVolume() : this.#stepImage();
  }

  #stepContainer(entry: Entry): Promise<boolean> {
    const container = this.#daemon.client.getContainer(entry.name);
    const remove = (): Promise<boolean> =>
      this.#change(entry, "absent", () => container.remove({ force: true }));
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
        HostConfig: {
          NetworkMode: network,
          PublishAllPorts: this.#random() < 0.5,
          ...(volume === undefined ? {} : { Binds: [`${volume}:/data`] }),
        },
      }),
    );
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

  #stepImage(): Promise<boolean> {
    const { client } = this.#daemon;
    const [repo = "", tag = ""] = this.#image.name.split(":");
    if (this.#image.state === "absent")
      return this.#change(this.#image, "present", () => client.getImage(busybox).tag({ repo, tag }));
    return this.#change(this.#image, "absent", () => client.getImage(this.#image.name).remove());
  }

  /** A request after which `entry` is as `target` says; without an answer nobody knows. */
  async #change(entry: Entry, target: State, request: () => Promise<unknown>): Promise<boolean> {
    entry.state = "unknown";
    const isAnswered = await this.#ask(request);
    if (isAnswered) entry.state = target;
    return isAnswered;
  }

  /** False when the daemon is gone. */
  async #ask(request: () => Promise<unknown>): Promise<boolean> {
    try {
      return await Promise.race([request().then(() => true), this.#killed]);
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== undefined) throw error;
      return false;
    }
  }
}
