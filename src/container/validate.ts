/**
 * The checks of a create request that need nothing but the request and the host's kernel: Docker's rules in Docker's
 * words. What asks for something that the engine does not serve is refused by name, never left out in silence.
 */
import { isIP } from "node:net";
import { invalidArgument, notImplemented } from "../base/errors.ts";
import type { ContainerConfig, HealthConfig, HostConfig } from "../wire/container.ts";
import { hasAppArmor } from "./apparmor.ts";
import { normalizeCapability, requireAvailable } from "./capabilities.ts";
import { customSeccomp } from "./seccomp.ts";
import { parseSecurityOptions } from "./security-options.ts";
import { parseSignal } from "../base/signals.ts";
import { validateLimits } from "./validate-limits.ts";
import { validateLogging } from "./logging/driver-options.ts";
import { validateModes, validateSysctls } from "./validate-modes.ts";
import { validateMounts } from "./validate-mounts.ts";
import { checkConfigShape, checkHostConfigShape } from "./validate-shape.ts";

/**
 * Checks a create request before anything is made. Returns warnings for the client. Throws `invalidArgument` for what
 * makes no sense and `notImplemented`, naming the option, for what is not served.
 */
export function validateCreate(config: ContainerConfig, hostConfig: HostConfig): string[] {
  checkConfigShape(config);
  checkHostConfigShape(hostConfig);
  validateConfig(config);
  refuseUnserved(config, hostConfig);
  validateRestartPolicy(hostConfig);
  const warnings = validateSecurity(hostConfig);
  validatePorts(config, hostConfig);
  validateNames(hostConfig);
  validateMounts(hostConfig);
  validateLogging(hostConfig.LogConfig ?? {});
  validateSysctls(hostConfig);
  return [...warnings, ...validateModes(config, hostConfig), ...validateLimits(hostConfig)];
}

function validateConfig(config: ContainerConfig): void {
  const { WorkingDir: directory = "", StopSignal: signal = "", Hostname: hostname = "" } = config;
  for (const entry of config.Env ?? [])
    if (entry === "" || entry.startsWith("="))
      throw invalidArgument(`invalid environment variable: ${entry}`);
  for (const word of [...(config.Env ?? []), ...(config.Cmd ?? []), ...(config.Entrypoint ?? []), directory])
    if (word.includes("\0"))
      throw invalidArgument(`${JSON.stringify(word)} contains a NUL byte, which no program can be given`);
  if (directory !== "" && !directory.startsWith("/"))
    throw invalidArgument(`the working directory '${directory}' is invalid, it needs to be an absolute path`);
  if (signal !== "" && parseSignal(signal) === undefined) throw invalidArgument(`invalid signal: ${signal}`);
  // The kernel's limit is 64 bytes (uname(2)); what a file of names cannot hold is no name.
  for (const name of [hostname, config.Domainname ?? ""])
    if (Buffer.byteLength(name) > 64 || !/^[^\s/\p{Cc}]*$/u.test(name))
      throw invalidArgument(`invalid hostname format: ${name}`);
  const mac = config.MacAddress ?? "";
  if (mac !== "" && !/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(mac))
    throw invalidArgument(`${mac} is not a valid mac address`);
  if (config.Healthcheck) validateHealthcheck(config.Healthcheck);
  for (const target of Object.keys(config.Volumes ?? {}))
    if (!target.startsWith("/"))
      throw invalidArgument(`invalid mount path: '${target}' mount path must be absolute`);
}

const millisecondNs = 1_000_000;

function validateHealthcheck(health: HealthConfig): void {
  for (const field of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    const value = health[field] ?? 0;
    if (value !== 0 && value < millisecondNs)
      throw invalidArgument(`${field} in Healthcheck cannot be less than 1ms`);
  }
  if ((health.Retries ?? 0) < 0) throw invalidArgument("Retries in Healthcheck cannot be negative");
  const [kind = ""] = health.Test ?? [];
  if (!["", "NONE", "CMD", "CMD-SHELL"].includes(kind))
    throw invalidArgument(`Unknown healthcheck type '${kind}' (expected 'CMD')`);
}

/** Options that would change what the container is, and that the engine cannot give. */
function refuseUnserved(config: ContainerConfig, host: HostConfig): void {
  const refuse = (asked: boolean, option: string): void => {
    if (asked) throw notImplemented(`${option} is not served by this engine`);
  };
  refuse((host.Cgroup ?? "") !== "", "HostConfig.Cgroup (another container's control group)");
  refuse(config.NetworkDisabled === true, "NetworkDisabled (use --network none)");
  if (Object.keys(host.StorageOpt ?? {}).length > 0)
    throw invalidArgument("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  const isolation = host.Isolation ?? "";
  if (isolation !== "" && isolation !== "default")
    throw invalidArgument(`Invalid isolation: "${isolation}" - linux only supports 'default'`);
}

/** Throws `invalidArgument` with Docker's words. */
export function validateRestartPolicy({ RestartPolicy: policy, AutoRemove }: HostConfig): void {
  const name = policy?.Name ?? "";
  const count = policy?.MaximumRetryCount ?? 0;
  if (!["", "no", "always", "on-failure", "unless-stopped"].includes(name))
    throw invalidArgument(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  if (name === "on-failure" && count < 0)
    throw invalidArgument("invalid restart policy: maximum retry count cannot be negative");
  if (name !== "on-failure" && count !== 0)
    throw invalidArgument(
      `invalid restart policy: maximum retry count can only be used with 'on-failure'${count < 0 ? " and cannot be negative" : ""}`,
    );
  if (AutoRemove === true && name !== "" && name !== "no")
    throw invalidArgument("can't create 'AutoRemove' container with restart policy");
}

/** Returns warnings. */
function validateSecurity(host: HostConfig): string[] {
  for (const field of ["CapAdd", "CapDrop"] as const)
    for (const name of host[field] ?? []) {
      try {
        const capability = normalizeCapability(name);
        // A privileged container has what there is; and what nobody has is dropped already.
        if (field === "CapAdd" && host.Privileged !== true) requireAvailable(capability);
      } catch (error) {
        throw invalidArgument(`invalid ${field}: ${(error as Error).message}`);
      }
    }
  const { seccomp, apparmor } = parseSecurityOptions(host.SecurityOpt ?? []);
  if (!["default", "builtin", "unconfined"].includes(seccomp)) customSeccomp(seccomp, []);
  for (const name of Object.keys(host.Annotations ?? {}))
    if (name === "")
      throw invalidArgument("invalid Annotations: the empty string is not permitted as an annotation key");
  const warnings: string[] = [];
  if (apparmor !== "" && apparmor !== "unconfined" && !hasAppArmor())
    warnings.push(`AppArmor is not enabled on this host: the profile ${apparmor} has no effect.`);
  return warnings;
}

function validatePorts(config: ContainerConfig, host: HostConfig): void {
  const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65535;
  for (const key of [...Object.keys(config.ExposedPorts ?? {}), ...Object.keys(host.PortBindings ?? {})]) {
    const [, port = "", protocol = "tcp"] = /^([^/]*)(?:\/(.*))?$/s.exec(key) ?? [];
    if (!isPort(port) || Number(port) === 0) throw invalidArgument(`invalid port specification: "${key}"`);
    if (!["tcp", "udp", "sctp"].includes(protocol.toLowerCase()))
      throw invalidArgument(`invalid port specification: "${key}": unknown protocol ${protocol}`);
  }
  for (const bindings of Object.values(host.PortBindings ?? {}))
    for (const { HostPort: text = "", HostIp: address = "" } of bindings ?? []) {
      const [first = "", last = first, ...rest] = text.split("-");
      const inOrder = isPort(first) && isPort(last) && Number(first) <= Number(last) && rest.length === 0;
      if (text !== "" && !inOrder) throw invalidArgument(`invalid port specification: "${text}"`);
      if (address !== "" && isIP(address.replace(/^\[(.*)\]$/, "$1")) === 0)
        throw invalidArgument(`invalid IP address: ${address}`);
    }
}

function validateNames(host: HostConfig): void {
  for (const server of host.Dns ?? [])
    if (isIP(server) === 0) throw invalidArgument(`bad nameserver address: ${server} is not an ip address`);
  // A line of a file each, so that nobody writes a second one.
  for (const text of host.DnsSearch ?? [])
    if (hasSpace(text)) throw invalidArgument(`invalid DNS search domain: ${JSON.stringify(text)}`);
  for (const text of host.DnsOptions ?? [])
    if (hasSpace(text)) throw invalidArgument(`invalid DNS option: ${JSON.stringify(text)}`);
  for (const text of host.ExtraHosts ?? []) {
    const at = text.search(/[:=]/);
    const name = at < 0 ? "" : text.slice(0, at);
    const address = text.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
    if (name === "" || address === "" || hasSpace(name))
      throw invalidArgument(`bad format for add-host: "${text}"`);
    if (address !== "host-gateway" && isIP(address) === 0)
      throw invalidArgument(`invalid IP address in add-host: "${address}"`);
  }
}

const hasSpace = (text: string): boolean => /[\s\p{Cc}]/u.test(text);
