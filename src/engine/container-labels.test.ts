import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerRecord } from "../container/container.ts";
import { relabelNetworkFiles } from "./container-labels.ts";
import type { EngineContext } from "./context.ts";

const owner = container("owner", { NetworkMode: "bridge" });
const joining = container("joining", { NetworkMode: "container:owner" });

function container(id: string, hostConfig: ContainerRecord["hostConfig"]): ContainerRecord {
  return { id, hostConfig, mountLabel: `label-of-${id}` } as unknown as ContainerRecord;
}

/** What is labelled when a container starts. */
async function labelledFor(started: ContainerRecord): Promise<string[]> {
  const labelled: string[] = [];
  const context = {
    config: { dataRoot: "/data", execRoot: "/exec" },
    containers: { resolve: (name: string) => [owner, joining].find(({ id }) => id === name) },
    labelling: {
      relabelOwn: async (path: string, label: string, isShared: boolean) => {
        labelled.push([path, label, ...(isShared ? ["shared"] : [])].join(" "));
        return Promise.resolve();
      },
    },
  } as unknown as EngineContext;
  await relabelNetworkFiles(context, started);
  return labelled;
}

test("the files that name hosts are the container's own", async () => {
  assert.deepEqual(
    await labelledFor(owner),
    ["hosts", "hostname", "resolv.conf"].map((name) => `/data/containers/owner/${name} label-of-owner`),
  );
});

test("those of another container, whose network it has, are for both", async () => {
  assert.deepEqual(
    await labelledFor(joining),
    ["hosts", "hostname", "resolv.conf"].map(
      (name) => `/data/containers/owner/${name} label-of-joining shared`,
    ),
  );
});
