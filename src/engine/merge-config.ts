import { posix } from "node:path";
import { invalidArgument } from "../base/errors.ts";
import type { ImageConfig } from "../oci/image-spec.ts";
import type { ContainerConfig } from "../wire/container.ts";

/** Fields that Docker writes always; inspect shows them all. */
const emptyConfig: ContainerConfig = {
  Hostname: "",
  Domainname: "",
  User: "",
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
};

type PortOrPathSet = Record<string, Record<string, never>>;

/**
 * Merges a create request with the image's configuration as Docker does: per key for Env and Labels (the user wins),
 * union for ports and volumes, the image's value where the user gave none. Cmd comes from the image only when the user
 * gave neither Entrypoint nor Cmd; an Entrypoint of `[""]` clears both of the image's.
 * Throws `invalidArgument` when there is nothing to run.
 */
export function mergeConfig(request: ContainerConfig, image: ImageConfig): ContainerConfig {
  const merged: ContainerConfig = { ...emptyConfig, ...request };
  merged.User = request.User || image.User || "";
  merged.WorkingDir = cleaned(request.WorkingDir || image.WorkingDir || "");
  if (request.StopSignal || image.StopSignal) merged.StopSignal = request.StopSignal || image.StopSignal!;
  merged.Env = request.Env || image.Env ? mergeEnv(image.Env ?? [], request.Env ?? []) : null;
  merged.Labels = { ...image.Labels, ...request.Labels };
  const ports: PortOrPathSet = { ...image.ExposedPorts, ...request.ExposedPorts };
  if (Object.keys(ports).length > 0) merged.ExposedPorts = ports;
  else delete merged.ExposedPorts;
  const volumes: PortOrPathSet = { ...image.Volumes, ...request.Volumes };
  merged.Volumes = Object.keys(volumes).length > 0 ? volumes : null;
  mergeCommand(merged, request, image);
  if (request.Healthcheck || image.Healthcheck)
    merged.Healthcheck = { ...image.Healthcheck, ...withoutEmpty(request.Healthcheck ?? {}) };
  if ((image.Shell ?? []).length > 0 && (request.Shell ?? []).length === 0) merged.Shell = image.Shell!;
  merged.OnBuild = null;
  if ((merged.Entrypoint ?? []).length === 0 && (merged.Cmd ?? []).length === 0)
    throw invalidArgument("no command specified");
  return merged;
}

/** A path without the slash at its end and what else leads nowhere. */
function cleaned(path: string): string {
  return path === "" ? "" : posix.normalize(path).replace(/(?<=.)\/$/, "");
}

function mergeCommand(merged: ContainerConfig, request: ContainerConfig, image: ImageConfig): void {
  const entrypoint = request.Entrypoint ?? [];
  if (entrypoint.length > 0) {
    merged.Entrypoint = entrypoint.length === 1 && entrypoint[0] === "" ? null : entrypoint;
    merged.Cmd = request.Cmd ?? null;
    return;
  }
  merged.Entrypoint = image.Entrypoint ?? null;
  merged.Cmd = (request.Cmd ?? []).length > 0 ? request.Cmd! : (image.Cmd ?? null);
}

/** The image's entries whose key the user did not set, then the user's; so an image value never hides a user's. */
export function mergeEnv(image: readonly string[], user: readonly string[]): string[] {
  const keys = new Set(user.map((entry) => entry.split("=", 1)[0]));
  return [...user, ...image.filter((entry) => !keys.has(entry.split("=", 1)[0]))];
}

function withoutEmpty<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(value).filter(
      ([, v]) => v !== undefined && v !== null && v !== 0 && !(Array.isArray(v) && v.length === 0),
    ),
  ) as Partial<T>;
}
