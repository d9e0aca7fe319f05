/** What the load brings to a daemon: archives to load, a context to build, a registry to pull from. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dockerBuild, makeContext } from "../helpers/build.ts";
import { gantryProgram, type TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { mustRun } from "../helpers/process.ts";

const registryAddress = "127.0.0.1:5000";

export interface Supplies extends AsyncDisposable {
  /** Data of the registry. */
  readonly registryRoot: string;
  loadedName(worker: number): string;
  pulledName(worker: number): string;
  /** Of the image with the name {@link loadedName}. */
  archive(worker: number): Buffer;
  /** A tar with a Dockerfile whose result depends on the argument `variant`. */
  buildContext(): Buffer;
}

const dockerfile = `FROM ${busybox}
ARG variant=0
COPY data /data
RUN echo "$variant" > /made
`;

/** Makes an image for each worker with layers that only it has, and leaves none of them in the daemon. */
export async function prepareSupplies(daemon: TestDaemon, workers: number): Promise<Supplies> {
  await using undo = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "gantry-crash-"));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  const registry = daemon.host.start([
    gantryProgram,
    "registry",
    "serve",
    "--root",
    join(directory, "registry"),
    "--address",
    registryAddress,
  ]);
  undo.defer(async () => {
    registry.process.kill("SIGTERM");
    await registry.wait();
  });
  await registry.waitForOutput(/^Serving /m, 60_000);
  const loadedName = (worker: number): string => `crash-${worker}/loaded:1`;
  const pulledName = (worker: number): string => `${registryAddress}/crash-${worker}/pulled:1`;
  const archives: Buffer[] = [];
  const make = async (name: string, content: string): Promise<void> => {
    const files = { Dockerfile: `FROM ${busybox}\nCOPY own /own\n`, own: content.repeat(20_000) };
    const { code, stderr } = await dockerBuild(daemon, files, ["-t", name]);
    if (code !== 0) throw new Error(`could not build ${name}: ${stderr}`);
  };
  for (let worker = 0; worker < workers; worker += 1) {
    const [loaded, pulled] = [loadedName(worker), pulledName(worker)];
    await make(loaded, `loaded ${worker}`);
    await make(pulled, `pulled ${worker}`);
    const path = join(directory, `${worker}.tar`);
    await daemon.dockerOk(["save", "-o", path, loaded]);
    archives.push(await readFile(path));
    await daemon.dockerOk(["push", "-q", pulled]);
    await daemon.dockerOk(["rmi", loaded, pulled]);
  }
  await daemon.dockerOk(["builder", "prune", "-af"]);
  await using context = await makeContext({ Dockerfile: dockerfile, data: "data\n".repeat(5_000) });
  const { stdoutBytes } = await mustRun(["tar", "-C", context.directory, "-cf", "-", "."]);
  const kept = undo.move();
  return {
    registryRoot: join(directory, "registry"),
    loadedName,
    pulledName,
    archive: (worker) => archives[worker]!,
    buildContext: () => stdoutBytes,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
