/** Ends containers, and takes them away. */
import { isNotFound } from "../../client/errors.ts";
import { settle } from "../dependency-order.ts";
import type { Observed, Session } from "../engine.ts";
import type { Project } from "../model/project.ts";
import { reported } from "../progress.ts";
import { runHook } from "./hooks.ts";

export interface StopOptions {
  /** Seconds until a program that does not end is killed; its own by default. */
  readonly timeoutSeconds?: number | undefined;
}

/** Stops one container after its service's `pre_stop` hooks, without a word. */
export async function stopContainer(
  session: Session,
  project: Pick<Project, "services"> | undefined,
  container: Observed,
  { timeoutSeconds }: StopOptions,
): Promise<void> {
  if (container.state === "running") {
    for (const hook of project?.services[container.service]?.pre_stop ?? []) {
      await runHook(session, container, { hook, kind: "pre_stop" });
    }
  }
  await session.client.containerStop(container.id, timeoutSeconds === undefined ? {} : { timeoutSeconds });
}

/** Stops containers side by side, telling of each. */
export async function stopContainers(
  session: Session,
  containers: readonly Observed[],
  options: StopOptions & { readonly project?: Project },
): Promise<void> {
  await settle(
    containers.map((container) =>
      session.limit(() =>
        reported(session.report, `Container ${container.name}`, ["Stopping", "Stopped"], () =>
          stopContainer(session, options.project, container, options),
        ),
      ),
    ),
  );
}

const running = new Set(["running", "paused", "restarting"]);

/** Stops those of the containers that run. One that is gone meanwhile is no failure. */
export async function stopRunning(
  session: Session,
  containers: readonly Observed[],
  options: StopOptions & { readonly project?: Project },
): Promise<void> {
  await settle(
    containers
      .filter(({ state }) => running.has(state))
      .map((container) => session.limit(() => stopReported(session, container, options))),
  );
}

async function stopReported(
  session: Session,
  container: Observed,
  options: StopOptions & { readonly project?: Project },
): Promise<void> {
  const id = `Container ${container.name}`;
  try {
    await reported(session.report, id, ["Stopping", "Stopped"], () =>
      stopContainer(session, options.project, container, options),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
    session.report({ id, kind: "done", text: "Stopped" });
  }
}

/** Stops and removes containers side by side. One that is gone already is what was wanted. */
export async function removeContainers(
  session: Session,
  containers: readonly Observed[],
  options: StopOptions & { readonly volumes: boolean; readonly project?: Project },
): Promise<void> {
  await settle(
    containers.map((container) => session.limit(() => removeContainer(session, container, options))),
  );
}

async function removeContainer(
  session: Session,
  container: Observed,
  options: StopOptions & { readonly volumes: boolean; readonly project?: Project },
): Promise<void> {
  const { client, report } = session;
  const id = `Container ${container.name}`;
  try {
    if (running.has(container.state)) {
      await reported(report, id, ["Stopping", "Stopped"], () =>
        stopContainer(session, options.project, container, options),
      );
    }
    await reported(report, id, ["Removing", "Removed"], () =>
      client.containerRemove(container.id, { force: true, volumes: options.volumes }),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
    report({ id, kind: "done", text: "Removed" });
  }
}
