/** Starts the containers of a project, each service after what it depends on. */
import { reportFailure } from "../progress.ts";
import { inDependencyOrder, settle } from "../dependency-order.ts";
import type { Session } from "../engine.ts";
import { ComposeError } from "../errors.ts";
import { scaleOf, type Project } from "../model/project.ts";
import type { Ready } from "./converge.ts";
import { runHook } from "./hooks.ts";
import { waitFor } from "./wait.ts";

export interface StartOptions {
  /** Waits until everything runs and is healthy. */
  readonly wait?: boolean;
  readonly waitTimeoutSeconds?: number;
  /** Called right before a container's start: the moment to listen to it. */
  readonly beforeStart?: (container: Ready) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

/** Throws {@link ComposeError} when a dependency does not come as far as its dependents want. */
export async function startProject(
  session: Session,
  project: Project,
  containers: ReadonlyMap<string, readonly Ready[]>,
  options: StartOptions = {},
): Promise<void> {
  const order = new Map(
    Object.entries(project.services).map(([name, service]) => [name, Object.keys(service.depends_on ?? {})]),
  );
  const recreated = new Set<string>();
  await inDependencyOrder(order, async (name) => {
    options.signal?.throwIfAborted();
    const own = containers.get(name) ?? [];
    await waitForDependencies(session, project, { name, containers }, options);
    await settle(own.map((container) => session.limit(() => startOne(session, project, container, options))));
    if (own.some(({ isNew }) => isNew)) recreated.add(name);
    else if (hasRestartingDependency(project, name, recreated)) await restart(session, own);
  });
  if (options.wait === true) await waitForAll(session, project, containers, options);
}

function hasRestartingDependency(project: Project, name: string, recreated: ReadonlySet<string>): boolean {
  const dependencies = Object.entries(project.services[name]?.depends_on ?? {});
  return dependencies.some(([other, { restart }]) => restart === true && recreated.has(other));
}

/** What a service depends on has been made anew, and it wants to be restarted then. */
async function restart({ client, report }: Session, containers: readonly Ready[]): Promise<void> {
  for (const { id, name, isRunning } of containers) {
    if (!isRunning) continue;
    report({ id: `Container ${name}`, kind: "working", text: "Restarting" });
    await client.containerRestart(id);
    report({ id: `Container ${name}`, kind: "done", text: "Started" });
  }
}

async function waitForDependencies(
  session: Session,
  project: Project,
  { name, containers }: { readonly name: string; readonly containers: ReadonlyMap<string, readonly Ready[]> },
  { signal }: StartOptions,
): Promise<void> {
  const dependencies = Object.entries(project.services[name]?.depends_on ?? {});
  await settle(
    dependencies.map(async ([other, { condition, required }]) => {
      const service = project.services[other];
      if (condition === "service_started" || service === undefined || scaleOf(service) === 0) return;
      const awaited = containers.get(other) ?? [];
      if (awaited.length === 0) {
        if (required) throw new ComposeError(`${name} is missing dependency ${other}`);
        session.warn(`${name} is missing dependency ${other}`);
        return;
      }
      await waitFor(session, other, awaited, { condition, isOptional: !required, signal });
    }),
  );
}

async function startOne(
  session: Session,
  project: Project,
  container: Ready,
  options: StartOptions,
): Promise<void> {
  if (container.isRunning) return;
  const { client, report } = session;
  const id = `Container ${container.name}`;
  await options.beforeStart?.(container);
  report({ id, kind: "working", text: "Starting" });
  try {
    await client.containerStart(container.id);
  } catch (error) {
    reportFailure(report, id, error);
    throw error;
  }
  for (const hook of project.services[container.service]?.post_start ?? []) {
    await runHook(session, container, { hook, kind: "post_start" });
  }
  report({ id, kind: "done", text: "Started" });
}

async function waitForAll(
  session: Session,
  project: Project,
  containers: ReadonlyMap<string, readonly Ready[]>,
  { waitTimeoutSeconds = 0, signal }: StartOptions,
): Promise<void> {
  const timeout = waitTimeoutSeconds > 0 ? AbortSignal.timeout(waitTimeoutSeconds * 1000) : undefined;
  const signals = [signal, timeout].filter((each) => each !== undefined);
  const either = signals.length === 0 ? undefined : AbortSignal.any(signals);
  const completing = new Set(
    Object.values(project.services).flatMap(({ depends_on: dependsOn }) =>
      Object.entries(dependsOn ?? {}).flatMap(([other, { condition }]) =>
        condition === "service_completed_successfully" ? [other] : [],
      ),
    ),
  );
  try {
    await settle(
      [...containers].map(([name, own]) =>
        waitFor(session, name, own, {
          condition: completing.has(name) ? "service_completed_successfully" : "running_or_healthy",
          signal: either,
        }),
      ),
    );
  } catch (error) {
    if (timeout?.aborted !== true) throw error;
    throw new ComposeError(`application not healthy after ${waitTimeoutSeconds}s`, { cause: error });
  }
}
