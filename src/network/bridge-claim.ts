import { createServer } from "node:net";
import { conflict, EngineError, errorText } from "../base/errors.ts";

/**
 * Claims a bridge for this process: two daemons on one bridge would write the same firewall table and take each other's
 * addresses. The claim is an abstract Unix socket (unix(7)), so it belongs to the network namespace that the bridge is
 * in, and ends with the process however that ends. Throws `conflict` when another process has it.
 */
export async function claimBridge(name: string): Promise<Disposable> {
  const server = createServer((socket) => socket.destroy());
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(`\0gantry-bridge-${name}`, resolve);
  try {
    await promise;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE")
      throw new EngineError("internal", `cannot claim the bridge ${name}: ${errorText(error)}`, {
        cause: error,
      });
    throw conflict(`cannot start the daemon: another one uses the bridge ${name}`, {
      hint: "Give this one a --bridge of its own, and a --bip that is free.",
    });
  }
  server.unref();
  return { [Symbol.dispose]: () => void server.close() };
}
