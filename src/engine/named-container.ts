import { invalidArgument, isKind } from "../base/errors.ts";
import type { ContainerRecord } from "../container/container.ts";
import type { EngineContext } from "./context.ts";

/**
 * A container that a request names in its settings (`--volumes-from`, `--pid container:…`). One that is not there makes the
 * request wrong, as with Docker: 404 would tell clients that the image is missing, which they would then pull.
 * Throws `invalidArgument`.
 */
export function namedContainer(context: EngineContext, name: string): ContainerRecord {
  try {
    return context.containers.resolve(name);
  } catch (error) {
    if (isKind(error, "notFound")) throw invalidArgument(error.message, { cause: error });
    throw error;
  }
}
