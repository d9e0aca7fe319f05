import { EngineError, errorText, isKind } from "../base/errors.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import { log } from "../base/log.ts";
import { answerTimeoutMs, requireAnswerAt } from "./answer.ts";
import type { DriverVolume, VolumeDriver } from "./driver.ts";
import { callPlugin } from "./plugin-client.ts";
import { findPlugin, type PluginAddress, type PluginDirectories } from "./plugin-registry.ts";

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** A plugin that keeps volumes: the requests `VolumeDriver.*` of Docker's plugin protocol. */
export class PluginDriver implements VolumeDriver {
  readonly name: string;
  readonly #plugin: PluginAddress;
  readonly #answerTimeoutMs: number;
  #scope: "local" | "global" | undefined;

  private constructor(plugin: PluginAddress, timeoutMs: number) {
    this.name = plugin.name;
    this.#plugin = plugin;
    this.#answerTimeoutMs = timeoutMs;
  }

  /** Finds a plugin and shakes hands. Throws `notFound` when there is none or it keeps no volumes, `unavailable`. */
  static async open(
    directories: PluginDirectories,
    name: string,
    options: { readonly retry: boolean; readonly answerTimeoutMs?: number },
  ): Promise<PluginDriver> {
    const plugin = findPlugin(directories, name);
    const { retry, answerTimeoutMs: timeoutMs = answerTimeoutMs } = options;
    const { Implements: kinds } = await callPlugin(plugin, { method: "Plugin.Activate", body: {}, retry });
    if (!Array.isArray(kinds) || !kinds.includes("VolumeDriver"))
      throw new EngineError(
        "notFound",
        `error looking up volume plugin ${name}: plugin "${name}" does not implement the VolumeDriver interface`,
      );
    return new PluginDriver(plugin, timeoutMs);
  }

  #call(method: string, body: unknown, retry = true): Promise<Record<string, unknown>> {
    return callPlugin(this.#plugin, { method: `VolumeDriver.${method}`, body, retry });
  }

  async scope(): Promise<"local" | "global"> {
    if (this.#scope !== undefined) return this.#scope;
    try {
      const { Capabilities } = await this.#call("Capabilities", {});
      this.#scope =
        text((Capabilities as { Scope?: unknown } | null)?.Scope).toLowerCase() === "global"
          ? "global"
          : "local";
    } catch (error) {
      // Plugins of the first days know no such request.
      if (isKind(error, "unavailable")) throw error;
      this.#scope = "local";
    }
    return this.#scope;
  }

  async create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    await this.#call("Create", { Name: name, Opts: options });
  }

  async get(name: string): Promise<DriverVolume | undefined> {
    let found: Record<string, unknown>;
    try {
      found = await this.#call("Get", { Name: name });
    } catch (error) {
      if (isKind(error, "unavailable")) throw error;
      return undefined;
    }
    const volume = volumeOf(found["Volume"]);
    if (volume === undefined || volume.mountpoint !== "") return volume;
    return { ...volume, mountpoint: await this.#path(name) };
  }

  async #path(name: string): Promise<string> {
    try {
      return text((await this.#call("Path", { Name: name }))["Mountpoint"]);
    } catch (error) {
      if (isKind(error, "unavailable")) throw error;
      return "";
    }
  }

  /** Nobody waits for a plugin that is away when everything is listed. */
  async list(): Promise<DriverVolume[]> {
    const { Volumes } = await this.#call("List", {}, false);
    return (Array.isArray(Volumes) ? Volumes : [])
      .map((volume) => volumeOf(volume))
      .filter((volume) => volume !== undefined);
  }

  async remove({ Name }: VolumeInspect): Promise<void> {
    await this.#call("Remove", { Name });
  }

  /** What it has mounted is used by the daemon next: throws `unavailable` when nobody serves that, with it unmounted again. */
  async mount(volume: VolumeInspect, user: string): Promise<string> {
    const { Name } = volume;
    const path = text((await this.#call("Mount", { Name, ID: user }))["Mountpoint"]);
    if (path === "")
      throw new EngineError(
        "internal",
        `VolumeDriver.Mount: plugin ${this.name} named no place for volume ${Name}`,
      );
    try {
      await this.requireAnswer(path, "");
    } catch (error) {
      await this.unmount(volume, user).catch((left: unknown) => {
        log.warn(`plugin ${this.name} did not unmount volume ${Name}`, { error: errorText(left) });
      });
      throw error;
    }
    return path;
  }

  /** Of what is mounted at `path`. Throws `unavailable`, with `what` before its reason. */
  async requireAnswer(path: string, what: string): Promise<void> {
    await requireAnswerAt({
      path,
      what,
      server: `what plugin ${this.name} has mounted on ${path}`,
      hint: `See to it that plugin ${this.name} and the server of its files work, then try again.`,
      timeoutMs: this.#answerTimeoutMs,
    });
  }

  async unmount({ Name }: VolumeInspect, user: string): Promise<void> {
    await this.#call("Unmount", { Name, ID: user });
  }
}

function volumeOf(value: unknown): DriverVolume | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { Name, Mountpoint, CreatedAt, Status } = value as Record<string, unknown>;
  if (text(Name) === "") return undefined;
  const status =
    typeof Status === "object" && Status !== null ? (Status as Record<string, unknown>) : undefined;
  return { name: text(Name), mountpoint: text(Mountpoint), createdAt: text(CreatedAt), status };
}
