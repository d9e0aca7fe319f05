/** What a container's program wrote, between conmon's file, the log driver and the reader. */

export type LogStream = "stdout" | "stderr";

/** A line, or a part of one, that a driver takes. */
export interface LogMessage {
  readonly stream: LogStream;
  /** RFC 3339 in UTC, at most nine digits of fraction, no zeros at its end: what Docker's json-file writes. */
  readonly time: string;
  /** The text, without its line feed, is `data[start..end]`. */
  readonly data: Buffer;
  readonly start: number;
  readonly end: number;
  /** False for a part of a line that goes on with the stream's next message. */
  readonly isWhole: boolean;
  /** Offset in conmon's file from which reading may begin after this message; 0 where a line is still open. */
  cleanAt: number;
}

/** A line, or a part of one, that a driver gives back. */
export interface LogEntry {
  readonly stream: LogStream;
  /** As {@link LogMessage.time}. */
  readonly time: string;
  /** With its line feed, when it is whole. */
  readonly line: Buffer;
  /** The driver's attributes of the container (labels, environment, tag). */
  readonly attributes: Readonly<Record<string, string>> | undefined;
}

/** Docker hands on a line without its end when it has this many bytes. */
export const maxLineBytes = 16 * 1024;
