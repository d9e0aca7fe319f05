import { deepEqual, equal, rejects } from "node:assert/strict";
import { describe, it } from "node:test";
import { inDependencyOrder, limiter } from "./dependency-order.ts";

const graph = new Map([
  ["web", ["db", "cache"]],
  ["db", []],
  ["cache", ["db"]],
  ["alone", ["nobody"]],
]);

describe("inDependencyOrder", () => {
  const orderOf = async (reverse: boolean): Promise<string[]> => {
    const seen: string[] = [];
    await inDependencyOrder(graph, async (name) => void seen.push(name), { reverse });
    return seen;
  };

  it("comes to a service after what it depends on", async () => {
    const seen = await orderOf(false);
    deepEqual(
      seen.filter((name) => name !== "alone"),
      ["db", "cache", "web"],
    );
    equal(seen.length, 4);
  });

  it("and the other way round", async () => {
    deepEqual(
      (await orderOf(true)).filter((name) => name !== "alone"),
      ["web", "cache", "db"],
    );
  });

  it("begins nothing after a failure, and throws it", async () => {
    const seen: string[] = [];
    await rejects(
      inDependencyOrder(graph, async (name) => {
        seen.push(name);
        if (name === "db") throw new Error("no db");
      }),
      /no db/,
    );
    deepEqual(
      seen.filter((name) => name !== "alone"),
      ["db"],
    );
  });
});

describe("limiter", () => {
  it("lets so many run, and no more", async () => {
    const limit = limiter(2);
    let running = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
    };
    await Promise.all(Array.from({ length: 7 }, () => limit(work)));
    equal(most, 2);
  });
});
