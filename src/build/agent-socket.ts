/** A socket on this machine behind which a client's SSH agent answers. */
import { closeSync, constants, openSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { SshProvider } from "./build.ts";

export interface AgentSocket extends AsyncDisposable {
  readonly path: string;
  /** The same socket by a name that fits into an address, for programs on this machine, while it is open. */
  readonly shortPath: string;
}

/** Opens it as `name` in a directory; its end cuts off whoever is connected. */
export async function openAgentSocket(
  ssh: SshProvider,
  id: string,
  { directory, name }: { readonly directory: string; readonly name: string },
): Promise<AgentSocket> {
  await using undo = new AsyncDisposableStack();
  // An address has room for 107 bytes, which the whole path may pass; the name below an open directory does not.
  const directoryFd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  undo.defer(() => closeSync(directoryFd));
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    void joinAgent(ssh, id, socket);
  });
  await listenOn(server, `/proc/self/fd/${directoryFd}/${name}`);
  undo.defer(
    () =>
      new Promise<void>((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  );
  const kept = undo.move();
  return {
    path: join(directory, name),
    shortPath: `/proc/${process.pid}/fd/${directoryFd}/${name}`,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Joins a program's connection with the client's agent. */
async function joinAgent(ssh: SshProvider, id: string, socket: Socket): Promise<void> {
  try {
    const agent = await ssh.connect(id);
    agent.on("error", () => socket.destroy());
    agent.on("close", () => socket.destroy());
    socket.on("close", () => agent.destroy());
    socket.pipe(agent).pipe(socket);
  } catch {
    socket.destroy();
  }
}

function listenOn(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve());
  });
}
