/** A failure that ends the program: its message is shown as it is, without a trace. */
export class CliError extends Error {
  override readonly name: string = "CliError";
  readonly exitCode: number;

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** The command line itself is wrong: shown together with the command's usage line. */
export class UsageError extends CliError {
  override readonly name = "UsageError";
}

/** Exit code for a command line that cannot be understood, and for what `run` itself cannot do (CONTRACT of Docker's CLI). */
export const exitUsage = 125;
