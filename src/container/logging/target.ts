import type { LogPosition } from "./checkpoint.ts";
import type { LogMessage } from "./message.ts";

/** What is done with a container's messages: the driver's side that writes. */
export interface LogTarget {
  /**
   * Makes ready. `from` is where an earlier daemon came to, undefined at a log's begin. Returns the position that is to
   * be noted. Throws what stands in the way.
   */
  open(from: LogPosition | undefined): LogPosition;
  /**
   * Takes the messages up to `end` of conmon's file. `note` stores a position in between: the target asks for it where
   * it must be known before it goes on. Rejects when it cannot take them now; then the same messages come again.
   */
  take(
    messages: readonly LogMessage[],
    end: number,
    note: (position: LogPosition) => void,
  ): Promise<LogPosition>;
  /** Bytes that may wait for a slow driver before what is oldest is dropped; undefined when nothing is. */
  readonly mostWaitingBytes: number | undefined;
  /** Resolves when nothing of it is under way any more. */
  close(): Promise<void>;
}
