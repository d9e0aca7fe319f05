/** A control group with little memory, as a test gives one to a daemon. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "./process.ts";

const slow = { timeoutMs: 120_000 };

/** A control group with a limit on memory; its files have other names in version 1 and 2. */
export class MemoryGroup {
  readonly #isFirst = existsSync("/sys/fs/cgroup/memory");
  readonly #path: string;

  constructor(name: string) {
    this.#path = join(this.#isFirst ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup", name);
  }

  /** Makes the group; the limit is in bytes. */
  async make(limit: number): Promise<void> {
    await mkdir(this.#path);
    await this.limit(limit);
  }

  /** Sets the limit, without swap. */
  async limit(bytes: number): Promise<void> {
    const [limit, swap] = this.#isFirst
      ? ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
      : ["memory.max", "memory.swap.max"];
    // Swap would only make it slow. In version 1 its limit counts both, and is never the smaller one.
    const withSwap = this.#isFirst ? String(bytes) : "0";
    await this.#write(swap, withSwap).catch(() => {});
    await this.#write(limit, String(bytes));
    await this.#write(swap, withSwap).catch(() => {});
  }

  #write(file: string, text: string): Promise<void> {
    return writeFile(join(this.#path, file), text);
  }

  /** Puts a process into the group. */
  async take(pid: number): Promise<void> {
    await writeFile(join(this.#path, "cgroup.procs"), String(pid));
  }

  /**
   * Leaves no more than what is in use and cannot be given up. The caches go: while there are any, the kernel takes those
   * and kills nobody. Version 2 kills at once when that is not enough; version 1 refuses the limit, with the caches gone.
   */
  async squeeze(): Promise<void> {
    const stat = await readFile(join(this.#path, "memory.stat"), "utf8");
    const anonymous = (this.#isFirst ? /^rss (\d+)$/m : /^anon (\d+)$/m).exec(stat)?.[1];
    assert.ok(anonymous !== undefined, stat);
    const succeeds = (bytes: number): Promise<boolean> =>
      this.limit(bytes).then(
        () => true,
        () => false,
      );
    if (await succeeds(Number(anonymous))) return;
    // Between the look and the limit it may have grown.
    await eventually(async () => succeeds(await this.#usedBytes()), {
      ...slow,
      what: "a limit at what is used",
    });
  }

  async #usedBytes(): Promise<number> {
    const file = this.#isFirst ? "memory.usage_in_bytes" : "memory.current";
    return Number(await readFile(join(this.#path, file), "utf8"));
  }

  /** Processes that the kernel has killed here for want of memory. */
  async kills(): Promise<number> {
    const text = await readFile(
      join(this.#path, this.#isFirst ? "memory.oom_control" : "memory.events"),
      "utf8",
    );
    return Number(/^oom_kill (\d+)/m.exec(text)?.[1]);
  }

  /** Puts what is left in it into the group above, and removes it. */
  async remove(): Promise<void> {
    const root = join(this.#path, "..", "cgroup.procs");
    for (const pid of (await readFile(join(this.#path, "cgroup.procs"), "utf8")).split("\n").filter(Boolean))
      await writeFile(root, pid).catch(() => {});
    const gone = (): Promise<boolean> =>
      rmdir(this.#path).then(
        () => true,
        () => false,
      );
    await eventually(gone, { ...slow, what: `${this.#path} to be empty` });
  }
}
