/** OCI layouts at the client's, blob by blob (BuildKit, session/content; containerd's content service). */
import { EngineError, isKind } from "../../base/errors.ts";
import type { ClientCall } from "../../base/grpc/client.ts";
import { GrpcError, grpcCodes } from "../../base/grpc/status.ts";
import type { ClientStore } from "../../build/build.ts";
import * as content from "../../wire/buildkit/content.ts";
import type { Decoded, Encodable } from "../../wire/protobuf.ts";
import type { ClientSession } from "./client-session.ts";

/** Clients refuse messages of 4 MB. */
const chunkBytes = 1024 * 1024;

const readBlob = {
  path: `${content.contentService}Read`,
  request: content.readContentRequest,
  response: content.readContentResponse,
};
const writeBlob = {
  path: `${content.contentService}Write`,
  request: content.writeContentRequest,
  response: content.writeContentResponse,
};

/** The client's store of that id (`local:<directory>`, `oci:<name>`, `export`); undefined when it has none at all. */
export function sessionStore(session: ClientSession, id: string): ClientStore | undefined {
  if (!session.serves(readBlob.path)) return undefined;
  const metadata = new Map([[content.contentStoreKey, [id]]]);
  return {
    async *read(digest, signal) {
      const call = session.connection.open(readBlob, { metadata, signal });
      call.send({ digest });
      call.end();
      try {
        for await (const { data } of call.messages()) yield data;
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
      } finally {
        if (!call.signal.aborted) call.cancel();
      }
      await call.done();
    },
    async write(blob, signal) {
      const call = session.connection.open(writeBlob, { metadata, signal });
      try {
        await sendBlob(call, blob);
        call.end();
        await call.done();
      } catch (error) {
        call.cancel();
        const outcome = await call.outcome;
        if (outcome?.code === grpcCodes.alreadyExists || isKind(error, "alreadyExists")) return;
        throw new EngineError(
          "unavailable",
          `the client does not take ${blob.digest}: ${outcome?.message ?? (error as Error).message}`,
          { cause: error },
        );
      }
    },
  };
}

type WriteCall = ClientCall<
  Decoded<typeof content.writeContentResponse>,
  Encodable<typeof content.writeContentRequest>
>;
type WriteMessage = Encodable<typeof content.writeContentRequest>;

/** Each message is answered by one; an interrupted write of the same blob is gone on with. */
async function sendBlob(call: WriteCall, blob: Parameters<ClientStore["write"]>[0]): Promise<void> {
  const { digest, sizeBytes } = blob;
  const about = { ref: `upload-${digest}`, total: sizeBytes, expected: digest };
  const ask = async (message: WriteMessage): Promise<number> => {
    call.send({ ...about, ...message });
    const answer = await call.receive();
    if (answer === undefined) throw new GrpcError(grpcCodes.unavailable, "the write broke off");
    return answer.offset;
  };
  const present = await ask({ action: content.writeActions.stat });
  let offset = 0;
  for await (const piece of blob.data)
    for (let at = 0; at < piece.length; at += chunkBytes) {
      const data = piece.subarray(at, at + chunkBytes);
      const missing = data.subarray(Math.max(0, present - offset));
      offset += data.length;
      if (missing.length > 0)
        await ask({ action: content.writeActions.write, offset: offset - missing.length, data: missing });
    }
  await ask({ action: content.writeActions.commit, offset });
}
