/** Waits for what one service depends on, as `run` has to. */
import { settle } from "../dependency-order.ts";
import type { Session } from "../engine.ts";
import type { Project } from "../model/project.ts";
import type { Ready } from "./converge.ts";
import { waitFor } from "./wait.ts";

/** Throws `ComposeError` when a dependency does not come as far as the service wants. */
export async function waitForServices(
  session: Session,
  project: Project,
  name: string,
  containers: ReadonlyMap<string, readonly Ready[]>,
): Promise<void> {
  await settle(
    Object.entries(project.services[name]?.depends_on ?? {}).map(async ([other, { condition, required }]) => {
      const own = containers.get(other) ?? [];
      if (condition === "service_started" || own.length === 0) return;
      await waitFor(session, other, own, { condition, isOptional: !required });
    }),
  );
}
