/** The steps that change files: found in the cache by what they are made of, or taken. */
import { mkdirSync } from "node:fs";
import { join, posix } from "node:path";
import { EngineError, invalidArgument, isKind } from "../base/errors.ts";
import { goQuote } from "../base/go-text.ts";
import { type DeviceEdits, deviceEdits } from "../container/cdi.ts";
import type { Instruction, RunInstruction, WorkdirInstruction } from "./dockerfile/ast.ts";
import { formatPlatform } from "../oci/platform.ts";
import { proxyEnvironment } from "./dockerfile/scope.ts";
import { foreignProgram, requireRunnable } from "./emulators.ts";
import { type StepPlace, takeCached } from "./cached-step.ts";
import { takeCopy } from "./copy-step.ts";
import { runScript } from "./dockerfile/heredoc.ts";
import { defaultBuilderSettings } from "./gc-policy.ts";
import { LayerPlan } from "./files/place.ts";
import { addHistory, commandWords } from "./image-config.ts";
import {
  hashParts,
  type Layer,
  layerOfItems,
  layerOfSnapshot,
  openRoot,
  snapshotKey,
  stepsDirectory,
  topOf,
} from "./layers.ts";
import { nowNs } from "./progress.ts";
import { mountKey, prepareMounts } from "./run-mounts.ts";
import { mountPlaces, runStep, type StepRun, stepContainerId, writePrivateFile } from "./run-step.ts";
import type { BuildSession } from "./session.ts";
import type { StageState } from "./session-parts.ts";
import { stepOwner } from "./step-owner.ts";

/** So many lines of a failed command are told with its failure. */
const failureLines = 20;
const maxLineBytes = 4096;

/** A command that ended with another code than 0. */
export class StepFailure extends EngineError {
  readonly exitCode: number;
  readonly command: string;
  readonly lastLines: readonly string[];

  constructor(
    command: string,
    ended: {
      readonly exitCode: number;
      readonly lastLines: readonly string[];
      readonly reason: { readonly why: string; readonly hint: string } | undefined;
    },
  ) {
    const { exitCode, lastLines, reason } = ended;
    super(
      "invalidArgument",
      `process ${goQuote(command)} did not complete successfully: exit code: ${exitCode}${reason === undefined ? "" : `: ${reason.why}`}`,
      reason === undefined ? {} : { hint: reason.hint },
    );
    this.exitCode = exitCode;
    this.command = command;
    this.lastLines = lastLines;
  }
}

/** Takes a step of a stage: its layer is put on the others, its words into the history. */
export async function takeStep(
  session: BuildSession,
  state: StageState,
  instruction: Instruction,
  place: StepPlace,
): Promise<void> {
  if (instruction.kind === "workdir") await takeWorkdir(session, state, instruction, place);
  else if (instruction.kind === "run") await takeRun(session, state, instruction, place);
  else if (instruction.kind === "copy" || instruction.kind === "add")
    await takeCopy(session, state, instruction, place);
  else throw invalidArgument(`instruction ${instruction.name} has no meaning in a stage`);
}

async function takeWorkdir(
  session: BuildSession,
  state: StageState,
  instruction: WorkdirInstruction,
  place: StepPlace,
): Promise<void> {
  const { config } = state;
  const path = posix.resolve(config.WorkingDir || "/", instruction.path);
  config.WorkingDir = path;
  if (path === "/") {
    addHistory(state, `WORKDIR ${path}`, { isStep: false, hasLayer: false });
    place.vertex.cached();
    return;
  }
  const { host, epochNs, lease } = session.parts;
  const parent = topOf(state.layers);
  const user = config.User ?? "";
  await takeCached(session, state, place, {
    keys: [async () => hashParts(["workdir", parent, path, user, String(epochNs)])],
    description: `WORKDIR ${path}`,
    createdBy: `WORKDIR ${path}`,
    isPlain: true,
    make: async () => {
      using root = openRoot(host, parent);
      const owner = user === "" ? undefined : stepOwner(session, user, { root: root.path, place });
      const plan = new LayerPlan(root.tree, {
        destination: path,
        owner,
        chmod: undefined,
        nowNs: nowNs(),
        timeNs: epochNs,
      });
      plan.makeDirectory(path);
      return await layerOfItems(host, parent, plan.items, { latestNs: epochNs, lease });
    },
  });
}

/** Keeps the last lines of what goes by. */
class LastLines {
  #text = "";

  add(data: Uint8Array): void {
    const text = this.#text + Buffer.from(data).toString();
    this.#text = text.slice(-failureLines * maxLineBytes);
  }

  get lines(): string[] {
    return this.#text
      .replace(/\n$/, "")
      .split("\n")
      .slice(-failureLines)
      .map((line) => line.replace(/\r$/, "").slice(0, maxLineBytes));
  }
}

/** ENV and ARG of a stage as a program's environment. */
const environmentOf = (state: StageState): string[] =>
  [...state.scope.variables].map(([key, value]) => `${key}=${value}`);

/** The client must have granted it, and the daemon must allow that. Throws `permissionDenied`. */
function requireEntitlement(session: BuildSession, name: string, hint: string): void {
  const { host, request } = session.parts;
  if (!(host.config.builder ?? defaultBuilderSettings).entitlements.has(name))
    throw new EngineError(
      "permissionDenied",
      `granting entitlement ${name} is not allowed by build daemon configuration`,
      { hint: `Set "builder": {"entitlements": {"${name.replace(".", "-")}": true}} in daemon.json.` },
    );
  if (!(request.entitlements ?? []).includes(name))
    throw new EngineError("permissionDenied", `${name} is not allowed`, { hint });
}

function runNetwork(session: BuildSession, instruction: RunInstruction): string {
  const { request } = session.parts;
  const asked = instruction.network;
  if (asked === "host" && request.networkMode !== "host")
    requireEntitlement(session, "network.host", "Build with --allow network.host, or with --network host.");
  if (asked !== "default") return asked;
  const mode = request.networkMode ?? "";
  return mode === "" || mode === "default" ? "bridge" : mode;
}

function requireInsecure(session: BuildSession, instruction: RunInstruction): boolean {
  if (instruction.security !== "insecure") return false;
  requireEntitlement(session, "security.insecure", "Build with --allow security.insecure.");
  return true;
}

/** A RUN with everything that its stage says about it. */
interface Run {
  readonly instruction: RunInstruction;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly network: string;
  readonly privileged: boolean;
  /** What the command line names as its program. */
  readonly script: { readonly name: string; readonly data: string } | undefined;
}

async function takeRun(
  session: BuildSession,
  state: StageState,
  instruction: RunInstruction,
  place: StepPlace,
): Promise<void> {
  const script = instruction.command.form === "shell" ? runScript(instruction.command) : undefined;
  const run: Run = {
    instruction,
    argv: commandWords(instruction.command, state.config),
    env: environmentOf(state),
    cwd: state.config.WorkingDir || "/",
    network: runNetwork(session, instruction),
    privileged: requireInsecure(session, instruction),
    script: script?.kind === "file" ? script : undefined,
  };
  await takeCached(session, state, place, {
    keys: [() => runKey(session, state, run)],
    description: instruction.code,
    createdBy: `RUN ${state.scope.historyPrefix()}${run.argv.join(" ")}`,
    make: () => makeLayer(session, state, run, place),
  });
}

async function runKey(session: BuildSession, state: StageState, run: Run): Promise<string> {
  const { request, epochNs } = session.parts;
  const { instruction, argv, env, cwd, privileged, script } = run;
  return hashParts([
    "run",
    topOf(state.layers),
    formatPlatform(state.platform),
    JSON.stringify([
      argv,
      env,
      cwd,
      state.config.User ?? "",
      instruction.network,
      request.networkMode ?? "",
      privileged,
      instruction.devices,
    ]),
    script?.data,
    JSON.stringify([request.extraHosts ?? [], request.limits?.shmSizeBytes, request.limits?.ulimits ?? []]),
    String(epochNs),
    ...(await Promise.all(
      instruction.mounts.map((mount) => mountKey(mount, cwd, (from) => session.origin(state.stage, from))),
    )),
  ]);
}

function missingProxies(env: readonly string[], buildArgs: Readonly<Record<string, string>>): string[] {
  return Object.entries(proxyEnvironment(buildArgs))
    .filter(([key]) => !env.some((entry) => entry.startsWith(`${key}=`)))
    .map(([key, value]) => `${key}=${value}`);
}

/** Runs the command on the stage's layers. Throws {@link StepFailure}. */
async function makeLayer(
  session: BuildSession,
  state: StageState,
  run: Run,
  place: StepPlace,
): Promise<Layer> {
  const { host, epochNs, lease } = session.parts;
  requireRunnable(state.platform, `RUN ${run.instruction.command.words.join(" ").slice(0, 60)}`);
  const parent = topOf(state.layers);
  const snapshot = snapshotKey();
  host.snapshotter.prepare(snapshot, parent);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => host.snapshotter.remove(snapshot));
  const last = new LastLines();
  const onOutput: StepRun["onOutput"] = (stream, data) => {
    last.add(data);
    place.vertex.log(stream, data);
    return session.parts.request.outputRoom?.();
  };
  const { exitCode, destinations } = await execute(session, state, run, { place, snapshot, onOutput });
  if (exitCode !== 0)
    throw new StepFailure(run.argv.join(" "), {
      exitCode,
      lastLines: last.lines,
      reason: foreignProgram(state.basePlatform, last.lines),
    });
  const hidden = new Set(mountPlaces);
  for (const destination of destinations) hideStubs(hidden, destination);
  return await layerOfSnapshot(host, { key: snapshot, parent, hidden }, { latestNs: epochNs, lease });
}

/** Runs the command in a container; its mounts are gone when this returns. Answers where they were. */
async function execute(
  session: BuildSession,
  state: StageState,
  run: Run,
  { place, snapshot, onOutput }: { place: StepPlace } & Pick<StepRun, "snapshot" | "onOutput">,
): Promise<{ readonly exitCode: number; readonly destinations: readonly string[] }> {
  const { host, cache, cacheLocks, request, signal } = session.parts;
  const id = stepContainerId();
  await using mounted = new AsyncDisposableStack();
  const prepared = await prepareMounts(run.instruction.mounts, {
    host,
    cache,
    cacheLocks,
    request,
    stepId: id,
    workingDirectory: run.cwd,
    undo: mounted,
    origin: (from) => session.origin(state.stage, from),
  });
  if (run.script !== undefined) prepared.mounts.push(scriptMount(session, id, run.script));
  place.tell("running", id);
  const exitCode = await runStep(host, {
    id,
    snapshot,
    argv: run.argv,
    env: [...run.env, ...missingProxies(run.env, request.buildArgs ?? {}), ...prepared.env],
    workingDirectory: run.cwd,
    user: state.config.User ?? "",
    network: run.network,
    privileged: run.privileged,
    extraHosts: request.extraHosts ?? [],
    hostname: request.hostname ?? "buildkitsandbox",
    limits: request.limits ?? {},
    devices: await stepDevices(session, run.instruction),
    mounts: prepared.mounts,
    onOutput,
    signal,
  });
  place.tell("removed", id);
  return { exitCode, destinations: prepared.mounts.map(({ destination }) => destination) };
}

/** Devices by CDI; one that is not required may be missing. Throws `invalidArgument` for one that is. */
async function stepDevices(
  session: BuildSession,
  { devices }: RunInstruction,
): Promise<DeviceEdits | undefined> {
  const { cdiDirectories } = session.parts.host.config;
  const found: string[] = [];
  for (const written of devices) {
    const words = written.split(",");
    const name =
      words.find((word) => word !== "required" && !word.startsWith("required="))?.replace(/^name=/, "") ?? "";
    const isRequired = words.some((word) => word === "required" || word === "required=true");
    try {
      await deviceEdits([{ Driver: "cdi", DeviceIDs: [name] }], cdiDirectories);
      found.push(name);
    } catch (error) {
      if (isRequired || !isKind(error, "invalidArgument")) throw error;
    }
  }
  return found.length === 0
    ? undefined
    : await deviceEdits([{ Driver: "cdi", DeviceIDs: found }], cdiDirectories);
}

/** A place made for a mount, and the directories made for it, are no changes while they are empty. */
function hideStubs(hidden: Set<string>, destination: string): void {
  const parts = destination.split("/").filter((part) => part !== "");
  for (let count = parts.length; count > 0; count -= 1) hidden.add(parts.slice(0, count).join("/"));
}

function scriptMount(
  session: BuildSession,
  id: string,
  script: { readonly name: string; readonly data: string },
): { destination: string; type: string; source: string; options: string[] } {
  const directory = join(stepsDirectory(session.parts.host), id, "private");
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const source = join(directory, "script");
  writePrivateFile(source, Buffer.from(script.data), { uid: 0, gid: 0, mode: 0o755 });
  return {
    destination: `/dev/pipes/${script.name}`,
    type: "bind",
    source,
    options: ["rbind", "rprivate", "ro"],
  };
}
