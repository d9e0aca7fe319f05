/** Work on services in the order of their dependencies, side by side where nothing stands between them. */

export interface OrderOptions {
  /** From dependents to dependencies: as things are stopped. */
  readonly reverse?: boolean;
}

/**
 * Calls `work` for every name once those that it depends on are done. After a failure nothing new is begun; what is
 * under way ends first, then the first failure is thrown.
 */
export async function inDependencyOrder(
  dependencies: ReadonlyMap<string, readonly string[]>,
  work: (name: string) => Promise<void>,
  { reverse = false }: OrderOptions = {},
): Promise<void> {
  const before = reverse ? reversed(dependencies) : dependencies;
  const started = new Map<string, Promise<void>>();
  const failures: unknown[] = [];
  const start = async (name: string): Promise<void> => {
    await Promise.all((before.get(name) ?? []).filter((other) => before.has(other)).map(run));
    if (failures.length > 0) return;
    try {
      await work(name);
    } catch (error) {
      failures.push(error);
    }
  };
  const run = (name: string): Promise<void> => {
    const promise = started.get(name) ?? start(name);
    started.set(name, promise);
    return promise;
  };
  await Promise.all([...before.keys()].map(run));
  if (failures.length > 0) throw failures[0];
}

function reversed(dependencies: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const result = new Map<string, string[]>([...dependencies.keys()].map((name) => [name, []]));
  for (const [name, others] of dependencies) {
    for (const other of others) result.get(other)?.push(name);
  }
  return result;
}

/** Lets only so many pieces of work run at a time; a limit below one is none. */
export function limiter(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  if (limit < 1) return (work) => work();
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    running++;
    try {
      return await work();
    } finally {
      running--;
      waiting.shift()?.();
    }
  };
}

/** Waits for all, then throws the first failure: nothing goes on behind the back of who is told. */
export async function settle<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}
