import { EngineError, invalidArgument } from "../base/errors.ts";
import { checkName } from "./container-name.ts";
import { emitContainer, type EngineContext } from "./context.ts";

/** Gives a container another name. Throws `conflict` when it is taken, `invalidArgument` when it is none or the same. */
export async function containerRename(
  context: EngineContext,
  nameOrId: string,
  newName: string,
): Promise<void> {
  if (newName === "") throw invalidArgument("Neither old nor new names may be empty");
  const container = context.containers.resolve(nameOrId);
  const name = newName.replace(/^\//, "");
  try {
    checkName(`/${name}`);
    if (name !== container.name) context.containers.requireFreeName(name);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, `Error when allocating new name: ${error.message}`, { cause: error });
  }
  if (name === container.name)
    throw invalidArgument("Renaming a container with the same name as its current name");
  using _ = await context.locks.acquire(container.id);
  const renamed = context.containers.update(container.id, { name });
  await context.network.rename(container.id, name);
  emitContainer(context, renamed, "rename", { oldName: `/${container.name}` });
}
