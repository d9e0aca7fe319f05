/** Where something stands in a file; lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface ComposeErrorOptions {
  readonly position?: Position | undefined;
  /** The exit code of the command; 1 unless said otherwise, 14 for a file that is not there, 15 for what is wrong in one. */
  readonly exitCode?: number;
  readonly cause?: unknown;
}

/** What compose cannot do, in words for the one who typed the command. */
export class ComposeError extends Error {
  override readonly name = "ComposeError";
  readonly position: Position | undefined;
  readonly exitCode: number;

  constructor(message: string, options: ComposeErrorOptions = {}) {
    const { position } = options;
    const place = position === undefined ? "" : `${position.file}:${position.line}:${position.column}: `;
    super(place + message, options.cause === undefined ? {} : { cause: options.cause });
    this.position = position;
    this.exitCode = options.exitCode ?? 1;
  }
}
