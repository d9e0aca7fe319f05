/** Secrets, agents and uploads that a client offers (BuildKit, session/secrets, sshforward, upload). */
import { Duplex, Readable } from "node:stream";
import { EngineError, isKind } from "../../base/errors.ts";
import type { SecretProvider, SshProvider } from "../../build/build.ts";
import { bytesMessage } from "../../wire/buildkit/control.ts";
import {
  checkAgentRequest,
  checkAgentResponse,
  getSecretPath,
  getSecretRequest,
  getSecretResponse,
  sshIdKey,
  sshService,
} from "../../wire/buildkit/session.ts";
import type { ClientSession } from "./client-session.ts";

const getSecret = { path: getSecretPath, request: getSecretRequest, response: getSecretResponse };
const checkAgent = {
  path: `${sshService}CheckAgent`,
  request: checkAgentRequest,
  response: checkAgentResponse,
};
const forwardAgent = { path: `${sshService}ForwardAgent`, request: bytesMessage, response: bytesMessage };
const uploadPull = { path: "/moby.upload.v1.Upload/Pull", request: bytesMessage, response: bytesMessage };

export function sessionSecrets(session: ClientSession): SecretProvider {
  return {
    async get(id) {
      if (!session.serves(getSecret.path)) return undefined;
      try {
        return (await session.connection.call(getSecret, { ID: id })).data;
      } catch (error) {
        if (isKind(error, "notFound")) return undefined;
        throw error;
      }
    },
  };
}

export function sessionSsh(session: ClientSession): SshProvider {
  return {
    async has(id) {
      if (!session.serves(checkAgent.path)) return false;
      try {
        await session.connection.call(checkAgent, { ID: id });
        return true;
      } catch (error) {
        if (isKind(error, "unavailable")) throw error;
        return false;
      }
    },
    async connect(id) {
      if (!session.serves(forwardAgent.path))
        throw new EngineError(
          "invalidArgument",
          "the client forwards no SSH agent; build with --ssh default",
        );
      const call = session.connection.open(forwardAgent, { metadata: new Map([[sshIdKey, [id]]]) });
      let wanted = (): void => {};
      const stream = new Duplex({
        read: () => wanted(),
        write: (chunk: Buffer, _encoding, callback) => {
          call.send({ data: chunk });
          // Resolves when the call is over, too.
          void call.drained().finally(callback);
        },
        final: (callback) => {
          call.end();
          callback();
        },
        destroy: (error, callback) => {
          wanted();
          call.cancel();
          callback(error);
        },
      });
      void (async () => {
        try {
          for await (const { data } of call.messages()) {
            if (stream.destroyed) return;
            if (!stream.push(data)) await new Promise<void>((resolve) => (wanted = resolve));
          }
          stream.push(null);
        } catch (error) {
          stream.destroy(error as Error);
        }
      })();
      return stream;
    },
  };
}

/** What the client uploads under a path: a context that it was given on its standard input. */
export function sessionUpload(session: ClientSession, path: string, signal: AbortSignal): Readable {
  const call = session.connection.open(uploadPull, {
    metadata: new Map([
      ["urlpath", [path]],
      ["urlhost", ["buildkit-session"]],
    ]),
    signal,
  });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const { data } of call.messages()) yield data;
    call.end();
    await call.done();
  }
  return Readable.from(chunks(), { objectMode: false });
}
