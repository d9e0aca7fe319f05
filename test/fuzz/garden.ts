/** Keeps a small stock of objects on the daemon, so that requests of the fuzzer find something to act on. */
import type { TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import type { Pools } from "./values.ts";

const limits = { containers: 12, networks: 6, volumes: 8 } as const;

/** Removes what has become too much, makes what is missing, and returns the names of what is there. */
export async function tend(daemon: TestDaemon, directory: string): Promise<Pools> {
  const { client } = daemon;
  await keepImage(daemon);
  const containers = await client.listContainers({ all: true });
  for (const { Id } of containers.slice(limits.containers))
    await ignoreRefusal(client.getContainer(Id).remove({ force: true, v: true }));
  const networks = (await client.listNetworks()).filter(
    ({ Name }) => !["bridge", "host", "none"].includes(Name),
  );
  for (const { Id } of networks.slice(limits.networks)) await ignoreRefusal(client.getNetwork(Id).remove());
  const volumes = (await client.listVolumes()).Volumes ?? [];
  for (const { Name } of volumes.slice(limits.volumes)) await ignoreRefusal(client.getVolume(Name).remove());
  const execs = await makeMissing(daemon);
  const all = await client.listContainers({ all: true });
  return {
    containers: all
      .slice(0, limits.containers)
      .flatMap(({ Id, Names }) => [Id, (Names[0] ?? Id).replace("/", "")]),
    execs,
    images: [busybox, `${busybox}:latest`, ...(await client.listImages()).slice(0, 4).map(({ Id }) => Id)],
    networks: ["bridge", ...networks.slice(0, limits.networks).map(({ Name }) => Name), "fuzz-net"],
    volumes: [...volumes.slice(0, limits.volumes).map(({ Name }) => Name), "fuzz-volume"],
    directory,
    cgroupParent: daemon.cgroupParent,
  };
}

/** Takes everything away that the fuzzer made. */
export async function clear(daemon: TestDaemon): Promise<void> {
  const { client } = daemon;
  await daemon.removeContainers();
  await client.pruneNetworks();
  await client.pruneVolumes({ filters: { all: ["true"] } });
  for (const { Id, RepoTags } of await client.listImages({ all: true }))
    if (RepoTags?.includes(`${busybox}:latest`) !== true)
      await ignoreRefusal(client.getImage(Id).remove({ force: true }));
  await client.pruneImages({ filters: { dangling: ["false"] } });
  await keepImage(daemon);
  await daemon.dockerOk(["builder", "prune", "-af"]);
}

async function keepImage(daemon: TestDaemon): Promise<void> {
  try {
    await daemon.client.getImage(busybox).inspect();
  } catch {
    await daemon.dockerOk(["pull", "-q", busybox], { timeoutMs: 60_000 });
  }
}

async function makeMissing(daemon: TestDaemon): Promise<string[]> {
  const { client } = daemon;
  const kept = [
    ["fuzz-runs", ["sleep", "3600"]],
    ["fuzz-ended", ["sh", "-c", "echo out; echo err >&2; exit 3"]],
    ["fuzz-created", ["true"]],
  ] as const;
  for (const [name, command] of kept) {
    const made = await ignoreRefusal(
      client.createContainer({ name, Image: busybox, Cmd: [...command], StopSignal: "KILL" }),
    );
    if (made !== undefined && name === "fuzz-ended") await ignoreRefusal(made.start());
  }
  await ignoreRefusal(client.getContainer("fuzz-runs").unpause());
  await ignoreRefusal(client.getContainer("fuzz-runs").start());
  await ignoreRefusal(client.createNetwork({ Name: "fuzz-net" }));
  await ignoreRefusal(client.createVolume({ Name: "fuzz-volume" }));
  const exec = await ignoreRefusal(
    client
      .getContainer("fuzz-runs")
      .exec({ Cmd: ["sh", "-c", "cat; echo done"], AttachStdout: true, AttachStdin: true }),
  );
  return exec === undefined ? [] : [exec.id];
}

/** What the answer refuses is meant to be refused here: another lane was quicker. A lost connection is not. */
async function ignoreRefusal<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    const status = (error as { statusCode?: number }).statusCode;
    if (status === undefined || status === 500) throw error;
    return undefined;
  }
}
