import { invalidArgument } from "../base/errors.ts";
import type { RuntimeProcess } from "../oci/runtime-spec.ts";
import type { ExecCreateRequest } from "../wire/exec.ts";
import { containerProfile } from "./apparmor.ts";
import { cleanPath } from "./binds.ts";
import { capabilitySets, hostCapabilities } from "./capabilities.ts";
import type { ContainerRecord } from "./container.ts";
import { type ContainerDefaults, withDefaultUlimits } from "./defaults.ts";
import { hasEnv, overlayEnv } from "./environment.ts";
import { containerRlimits } from "./resources.ts";
import { parseSecurityOptions } from "./security-options.ts";
import { containerCapabilities, containerEnv, processLabel } from "./spec.ts";
import { resolveUser } from "./user.ts";

/**
 * The OCI `process` object of one more process in a running container, for `RUNTIME exec --process`: the container's
 * environment, user and directory, with the request's on top. The same seccomp profile and control group hold for it.
 * Throws `invalidArgument` for a user that is not there or a directory that is not absolute.
 */
export function buildExecProcess(
  container: ContainerRecord,
  request: ExecCreateRequest,
  { rootfs, defaults }: { readonly rootfs: string; readonly defaults: ContainerDefaults },
): RuntimeProcess {
  const { config, hostConfig } = container;
  const terminal = request.Tty === true;
  const user = resolveUser(rootfs, request.User || config.User || "", hostConfig.GroupAdd ?? []);
  const cwd = request.WorkingDir || config.WorkingDir || "/";
  if (!cwd.startsWith("/"))
    throw invalidArgument(`the working directory '${cwd}' is invalid, it needs to be an absolute path`);
  // Those that a limit or capability falls short of were told at the container's start.
  const unheard: string[] = [];
  const privileged = request.Privileged === true;
  const capabilities = privileged ? hostCapabilities() : containerCapabilities(hostConfig, unheard);
  const rlimits = containerRlimits(withDefaultUlimits(hostConfig.Ulimits, defaults.ulimits), unheard);
  const [height = 0, width = 0] = request.ConsoleSize ?? [];
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  // A runtime gives an exec no profile by itself. As with Docker --privileged does not take the container's away.
  const apparmorProfile = containerProfile(security.apparmor, hostConfig.Privileged === true);
  return {
    terminal,
    ...(terminal && height > 0 && width > 0 ? { consoleSize: { height, width } } : {}),
    user: { uid: user.uid, gid: user.gid, umask: 0o022, additionalGids: user.additionalGids },
    args: [...(request.Cmd ?? [])],
    env: execEnv(container, request, user.home),
    cwd: cleanPath(cwd),
    capabilities: capabilitySets(capabilities, user.uid),
    ...(rlimits.length > 0 ? { rlimits } : {}),
    noNewPrivileges: !privileged && (security.noNewPrivileges ?? defaults.noNewPrivileges),
    ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
    ...processLabel(container),
  };
}

function execEnv(container: ContainerRecord, request: ExecCreateRequest, home: string): string[] {
  const env = overlayEnv(containerEnv(container, home), [
    ...(request.Tty === true && !hasEnv(container.config.Env ?? [], "TERM") ? ["TERM=xterm"] : []),
    ...(request.Env ?? []),
  ]);
  return env;
}
