import { conflict } from "../base/errors.ts";
import type { EngineContext } from "./context.ts";
import { emitContainer } from "./context.ts";
import { containerPaths } from "./paths.ts";

/** Sets the size of a running container's terminal in characters. Throws `conflict` when it does not run. */
export async function containerResize(
  context: EngineContext,
  nameOrId: string,
  height: number,
  width: number,
): Promise<void> {
  const container = context.containers.resolve(nameOrId);
  if (container.state.status !== "running") throw conflict(`container ${container.id} is not running`);
  await context.monitor.resize(containerPaths(context.config, container.id).bundle, height, width);
  emitContainer(context, container, "resize", { height: String(height), width: String(width) });
}
