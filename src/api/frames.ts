/**
 * The frames of a multiplexed stream (Docker Engine API, "Attach to a container", Stream format): one byte says which
 * stream, three are zero, four are the length of the payload, big-endian.
 */
export type StreamName = "stdin" | "stdout" | "stderr" | "system";

const streamTypes: Readonly<Record<StreamName, number>> = { stdin: 0, stdout: 1, stderr: 2, system: 3 };

/** The eight bytes before a payload of `sizeBytes`. */
export function frameHeader(stream: StreamName, sizeBytes: number): Buffer {
  const header = Buffer.alloc(8);
  header[0] = streamTypes[stream];
  header.writeUInt32BE(sizeBytes, 4);
  return header;
}

/** A whole frame, for payloads that are small anyway. */
export function frame(stream: StreamName, payload: Buffer): Buffer {
  return Buffer.concat([frameHeader(stream, payload.length), payload]);
}

const multiplexedStream = "application/vnd.docker.multiplexed-stream";
const rawStream = "application/vnd.docker.raw-stream";

/**
 * The content type of a stream of output: its own for frames since API 1.42; before, clients looked at the container's
 * `Tty` to know whether there are frames.
 */
export function streamContentType(isFramed: boolean, apiMinor: number): string {
  return isFramed && apiMinor >= 42 ? multiplexedStream : rawStream;
}
