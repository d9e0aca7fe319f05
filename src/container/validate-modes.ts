/** Namespace modes, and what goes together with them. */
import { invalidArgument } from "../base/errors.ts";
import { ipcSysctls } from "../oci/namespaced-sysctls.ts";
import type { ContainerConfig, HostConfig } from "../wire/container.ts";
import { kernelLimits } from "./kernel-limits.ts";

/** Returns warnings. Throws `invalidArgument` for unknown modes and conflicts, `notImplemented` for what is not served. */
export function validateModes(config: ContainerConfig, host: HostConfig): string[] {
  validateNamespaceModes(host);
  if (host.UTSMode === "host" && (config.Hostname ?? "") !== "")
    throw invalidArgument("conflicting options: hostname and the UTS mode");
  const parent = host.CgroupParent ?? "";
  if (parent.split("/").includes("..") || parent.includes("\0"))
    throw invalidArgument(`invalid cgroup-parent: ${parent}`);
  return validateNetworkMode(config, host);
}

function validateNamespaceModes(host: HostConfig): void {
  const { IpcMode: ipc = "", PidMode: pid = "", UTSMode: uts = "", UsernsMode: user = "" } = host;
  const isContainer = (mode: string): boolean => /^container:./.test(mode);
  if (!["", "none", "private", "shareable", "host"].includes(ipc) && !isContainer(ipc))
    throw invalidArgument(`invalid IPC mode: ${ipc}`);
  if (!["", "host"].includes(pid) && !isContainer(pid)) throw invalidArgument(`invalid PID mode: ${pid}`);
  if (!["", "host"].includes(uts)) throw invalidArgument(`invalid UTS mode: ${uts}`);
  if (!["", "host"].includes(user)) throw invalidArgument(`invalid user namespace mode: ${user}`);
  const cgroup = host.CgroupnsMode ?? "";
  if (!["", "host", "private"].includes(cgroup))
    throw invalidArgument(`invalid cgroup namespace mode: ${cgroup}`);
  if (cgroup === "private" && host.Privileged === true && kernelLimits().version === 1)
    throw invalidArgument(
      "privileged mode is incompatible with private cgroup namespaces on cgroup v1 host.  You must run the container in the host cgroup namespace when running privileged mode",
    );
}

function validateNetworkMode(config: ContainerConfig, host: HostConfig): string[] {
  const mode = host.NetworkMode ?? "";
  const publishes = Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts === true;
  if (mode === "host" && publishes) return ["Published ports are discarded when using host network mode"];
  if (mode !== "container" && !mode.startsWith("container:")) return [];
  if (mode === "container" || mode === "container:")
    throw invalidArgument("Invalid network mode: invalid container format container:<name|id>");
  const conflicts: readonly (readonly [boolean, string])[] = [
    [(config.Hostname ?? "") !== "", "hostname and the network mode"],
    [(host.Dns ?? []).length > 0, "dns and the network mode"],
    [(host.ExtraHosts ?? []).length > 0, "custom host-to-IP mapping and the network mode"],
    [(config.MacAddress ?? "") !== "", "mac-address and the network mode"],
    [publishes, "port publishing and the container type network mode"],
    [Object.keys(config.ExposedPorts ?? {}).length > 0, "port exposing and the container type network mode"],
  ];
  for (const [isConflict, what] of conflicts)
    if (isConflict) throw invalidArgument(`conflicting options: ${what}`);
  return [];
}

/** Only settings of a namespace that is the container's own may be set. Throws `invalidArgument`. */
export function validateSysctls(host: HostConfig): void {
  for (const name of Object.keys(host.Sysctls ?? {})) {
    if (!/^[\w.:/-]+$/.test(name) || name.split(/[./]/).includes(""))
      throw invalidArgument(`invalid sysctl name: '${name}'`);
    const dotted = name.includes(".") ? name : name.replaceAll("/", ".");
    if (dotted.startsWith("net.")) {
      if (host.NetworkMode === "host")
        throw invalidArgument(`sysctl "${name}" not allowed in host network namespace`);
    } else if (ipcSysctls.has(dotted) || dotted.startsWith("fs.mqueue.")) {
      if (host.IpcMode === "host")
        throw invalidArgument(`sysctl "${name}" is not allowed in the hosts ipc namespace`);
    } else if (dotted === "kernel.domainname" || dotted === "kernel.hostname") {
      if (dotted === "kernel.hostname" || host.UTSMode === "host")
        throw invalidArgument(
          `sysctl "${name}" conflicts with the container's hostname: use --hostname and --domainname`,
        );
    } else throw invalidArgument(`sysctl "${name}" is not in a separate kernel namespace`);
  }
}
