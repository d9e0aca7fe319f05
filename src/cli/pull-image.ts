import { errorText } from "../base/errors.ts";
import { formatPlatform, parsePlatform } from "../oci/platform.ts";
import {
  familiarReference,
  formatReference,
  repositoryName,
  withDefaultTag,
  type Reference,
} from "../oci/reference.ts";
import type { CommandContext } from "./command.ts";
import { registryAuthFor } from "./credentials.ts";
import { CliError } from "./errors.ts";
import type { ProgressMessage } from "../wire/image.ts";
import { showProgress, type ProgressOutput } from "./progress.ts";

/** Progress on standard output. */
export function stdoutProgress(context: CommandContext): ProgressOutput {
  const { stdout } = context;
  return {
    isTerminal: stdout.isTTY,
    columns: stdout.columns ?? 0,
    write: (text) => context.print(text),
  };
}

/** Progress on standard error, where results go to standard output. */
export function stderrProgress(context: CommandContext): ProgressOutput {
  const { stderr } = context;
  // Nobody reads it any more: that is no reason to stop.
  stderr.on("error", () => {});
  return {
    isTerminal: stderr.isTTY,
    columns: stderr.columns ?? 0,
    write: (text) => void stderr.write(text),
  };
}

export interface PullOptions {
  /** As the user wrote it. */
  readonly platform: string;
  /** Every tag of the repository. */
  readonly allTags?: boolean;
  /** Undefined shows nothing. */
  readonly progress: ProgressOutput | undefined;
}

/** Has the daemon pull an image. A reference with neither tag nor digest means `latest`. */
export async function pullImage(
  context: CommandContext,
  reference: Reference,
  options: PullOptions,
): Promise<void> {
  const { tag, digest } = options.allTags === true ? {} : withDefaultTag(reference);
  const wanted = digest ?? tag;
  const platform = platformText(options.platform);
  const registryAuth = await registryAuthFor(context, reference.domain);
  const messages = context.client.imagePull({
    image: repositoryName(reference),
    ...(wanted === undefined ? {} : { tag: wanted }),
    ...(platform === undefined ? {} : { platform }),
    ...(registryAuth === undefined ? {} : { registryAuth }),
  });
  if (options.progress === undefined) await drain(messages);
  else await showProgress(messages, options.progress);
}

async function drain(messages: AsyncIterable<ProgressMessage>): Promise<void> {
  for await (const _message of messages) void _message;
}

/** A platform in its one spelling; undefined when none was given. Throws `EngineError` for what is none. */
export function platformText(text: string): string | undefined {
  return text === "" ? undefined : formatPlatform(parsePlatform(text));
}

/** The text of `--platform` as it was given, or empty. Throws `CliError` when it is no platform. */
export function checkedPlatform(text: string): string {
  try {
    if (text !== "") parsePlatform(text);
  } catch (error) {
    throw new CliError(`invalid platform: ${errorText(error)}`, 1, { cause: error });
  }
  return text;
}

/** `busybox:latest` as people write it. */
export function shortReference(reference: Reference): string {
  return familiarReference(withDefaultTag(reference));
}

/** `docker.io/library/busybox:latest`. */
export function fullReference(reference: Reference): string {
  return formatReference(withDefaultTag(reference));
}
