/** Waits until services are as far as others want them. */
import { setTimeout as delay } from "node:timers/promises";
import type { ContainerInspect } from "../../wire/container.ts";
import type { Session } from "../engine.ts";
import { ComposeError } from "../errors.ts";

/** What is waited for: the conditions of `depends_on`, and that of `up --wait`. */
export type Condition =
  | "service_started"
  | "service_healthy"
  | "service_completed_successfully"
  | "running_or_healthy";

export interface Awaited {
  readonly id: string;
  readonly name: string;
}

export interface WaitOptions {
  readonly condition: string;
  /** A failure is told of, and no reason to stop. */
  readonly isOptional?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Waits for all containers of a service. Throws {@link ComposeError} when one can not come that far any more. */
export async function waitFor(
  session: Session,
  service: string,
  containers: readonly Awaited[],
  options: WaitOptions,
): Promise<void> {
  const { report, warn } = session;
  const tell = (kind: "working" | "done" | "error", text: string): void => {
    for (const { name } of containers) report({ id: `Container ${name}`, kind, text });
  };
  tell("working", "Waiting");
  try {
    await Promise.all(containers.map((container) => waitForOne(session, service, container, options)));
    tell("done", options.condition === "service_completed_successfully" ? "Exited" : "Healthy");
  } catch (error) {
    if (!(error instanceof ComposeError) || options.isOptional !== true) {
      tell("error", "Error");
      throw error;
    }
    warn(`optional dependency "${service}" failed to start: ${error.message}`);
    tell("done", "Skipped");
  }
}

async function waitForOne(
  { client }: Session,
  service: string,
  { id, name }: Awaited,
  { condition, signal }: WaitOptions,
): Promise<void> {
  for (let pauseMs = 20; ; pauseMs = Math.min(pauseMs * 1.5, 400)) {
    signal?.throwIfAborted();
    const container = await client.containerInspect(id, { signal });
    const state =
      condition === "service_completed_successfully"
        ? completion(container, service)
        : health(container, name, condition === "running_or_healthy");
    if (state) return;
    await delay(pauseMs, undefined, signal === undefined ? {} : { signal });
  }
}

/** True once it has ended well. */
function completion({ State: state }: ContainerInspect, service: string): boolean {
  if (state.Status !== "exited") return false;
  if (state.ExitCode === 0) return true;
  throw new ComposeError(`service "${service}" didn't complete successfully: exit ${state.ExitCode}`);
}

/** True once it is healthy, or runs where that is enough. */
function health(
  { State: state, Config: config }: ContainerInspect,
  name: string,
  runningIsEnough: boolean,
): boolean {
  if (state.Status === "exited" || state.Status === "dead") {
    throw new ComposeError(`dependency failed to start: container ${name} exited (${state.ExitCode})`);
  }
  const test = config.Healthcheck?.Test ?? [];
  const hasCheck = test.length > 0 && test[0] !== "NONE";
  if (!hasCheck && runningIsEnough) return state.Status === "running";
  if (state.Health === undefined) {
    if (hasCheck && !state.Running) return false;
    throw new ComposeError(`dependency failed to start: container ${name} has no healthcheck configured`);
  }
  switch (state.Health.Status) {
    case "healthy":
      return true;
    case "unhealthy":
      throw new ComposeError(`dependency failed to start: container ${name} is unhealthy`);
    default:
      return false;
  }
}
