import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { errorText, invalidArgument } from "../../base/errors.ts";
import { ClientError } from "../../client/errors.ts";
import { parseReference, type Reference } from "../../oci/reference.ts";
import type { ContainerCreateRequest } from "../../wire/container.ts";
import type { CommandContext } from "../command.ts";
import { CliError, exitUsage } from "../errors.ts";
import { goQuote } from "../flag-values.ts";
import type { ParsedArguments } from "../parser.ts";
import { platformText, pullImage, shortReference, stderrProgress } from "../pull-image.ts";
import { goFileError } from "./key-value-file.ts";

type PullPolicy = "always" | "missing" | "never";

/** `--pull`. Throws `CliError` for another word. */
function pullPolicy(parsed: ParsedArguments): PullPolicy {
  const policy = parsed.string("pull");
  if (policy === "always" || policy === "missing" || policy === "never") return policy;
  throw new CliError(
    `invalid pull option: '${policy}': must be one of "always", "missing" or "never"`,
    exitUsage,
  );
}

/**
 * Creates a container, pulling its image as `--pull` says, and returns its id. Writes `--cidfile`, and shows the
 * daemon's warnings.
 */
export async function createContainer(
  context: CommandContext,
  parsed: ParsedArguments,
  request: ContainerCreateRequest,
): Promise<string> {
  const policy = pullPolicy(parsed);
  const image = imageReference(request.Image ?? "");
  warn(context, request);
  using cidFile = openCidFile(parsed.string("cidfile"));
  const pull = (reference: Reference): Promise<void> =>
    pullImage(context, reference, {
      platform: parsed.string("platform"),
      progress: parsed.bool("quiet") ? undefined : stderrProgress(context),
    });
  if (policy === "always" && image !== undefined) await pull(image);
  const name = parsed.string("name");
  const platform = parsePlatformFlag(parsed.string("platform"));
  const create = (): Promise<{ Id: string; Warnings: string[] | null }> =>
    context.client.containerCreate(request, {
      ...(name === "" ? {} : { name }),
      ...(platform === undefined ? {} : { platform }),
    });
  const created = await create().catch(async (error: unknown) => {
    if (policy !== "missing" || image === undefined || !isMissingImage(error)) throw error;
    if (!parsed.bool("quiet")) context.printError(`Unable to find image '${shortReference(image)}' locally`);
    await pull(image);
    return await create();
  });
  for (const warning of created.Warnings ?? []) context.printError(`WARNING: ${warning}`);
  cidFile?.write(created.Id);
  return created.Id;
}

/** The image by name; undefined for an id, which cannot be pulled. Throws `EngineError` for what is neither. */
function imageReference(image: string): Reference | undefined {
  return /^(sha256:)?[0-9a-f]{64}$/.test(image) ? undefined : parseReference(image);
}

/** As {@link platformText}; its error with what Docker's command line says before it. */
function parsePlatformFlag(text: string): string | undefined {
  try {
    return platformText(text);
  } catch (error) {
    throw invalidArgument(`error parsing specified platform: ${errorText(error)}`, { cause: error });
  }
}

function isMissingImage(error: unknown): boolean {
  return error instanceof ClientError && error.status === 404 && /no such image/i.test(error.message);
}

function warn(context: CommandContext, request: ContainerCreateRequest): void {
  const host = request.HostConfig ?? {};
  const local = host.Dns?.find((address) => /^127\.|^::1$/.test(address));
  if (local !== undefined) context.printError(`WARNING: Localhost DNS (${local}) may fail in containers.`);
}

interface CidFile extends Disposable {
  write(id: string): void;
}

/** Makes the file before the container, so that nothing is created when it cannot be written. */
function openCidFile(path: string): CidFile | undefined {
  if (path === "") return undefined;
  let fd: number;
  try {
    fd = openSync(path, "wx", 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      throw new CliError(
        `container ID file found, make sure the other container isn't running or delete ${path}`,
      );
    }
    throw new CliError(`failed to create the container ID file: ${goFileError("open", path, error)}`);
  }
  let isWritten = false;
  return {
    write(id) {
      try {
        writeSync(fd, id);
      } catch (error) {
        throw new CliError(
          `failed to write the container ID (${goQuote(id)}) to the file: ${(error as Error).message}`,
        );
      }
      isWritten = true;
    },
    [Symbol.dispose]() {
      closeSync(fd);
      if (!isWritten) rmSync(path, { force: true });
    },
  };
}
