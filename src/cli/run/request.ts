/**
 * From the flags of `run` and `create` to the body of `POST /containers/create`. The body has the fields that Docker's
 * own command line writes, also the empty ones.
 */
import type {
  ContainerConfig,
  ContainerCreateRequest,
  HealthConfig,
  HostConfig,
} from "../../wire/container.ts";
import { CliError, exitUsage, UsageError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { deviceFlags } from "./devices.ts";
import { environment } from "./environment.ts";
import { gpuRequest } from "./gpus.ts";
import { readKeyValueFile } from "./key-value-file.ts";
import { mountRequest, volumeFlags, type VolumeFlags } from "./mounts.ts";
import { isMacAddress, networkAttachment, networkRequest, type NetworkRequest } from "./networks.ts";
import { publishedPorts, type PublishedPorts } from "./ports.ts";
import { resources } from "./resources.ts";
import { securityOptions } from "./security.ts";
import { attachStream, dnsAddress, extraHost, searchDomain } from "./values.ts";

/** What a container is made in. */
export interface RequestSurroundings {
  /** Name of the command, for messages. */
  readonly command: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Rows and columns of the terminal, `[0, 0]` without one. */
  readonly consoleSize: readonly [number, number];
}

type Strings = string[] | null;

/**
 * The request for the container that a command line asks for. The first argument is the image.
 *
 * Throws `CliError`, in Docker's words, for values that do not fit.
 */
export function createRequest(
  parsed: ParsedArguments,
  surroundings: RequestSurroundings,
): ContainerCreateRequest {
  try {
    return buildRequest(parsed, surroundings);
  } catch (error) {
    if (!(error instanceof Error) || error instanceof UsageError) throw error;
    const message = `gantry: ${error.message}\n\nRun 'gantry ${surroundings.command} --help' for more information`;
    throw new CliError(message, exitUsage, { cause: error });
  }
}

function buildRequest(parsed: ParsedArguments, surroundings: RequestSurroundings): ContainerCreateRequest {
  const mac = parsed.string("mac-address");
  if (mac !== "" && !isMacAddress(mac.trim())) throw new Error(`${mac} is not a valid mac address`);
  const volumes = volumeFlags(parsed.list("volume"));
  const ports = publishedPorts(parsed.list("publish"), parsed.list("expose"));
  const network = networks(parsed);
  return {
    ...config(parsed, surroundings, volumes, ports),
    HostConfig: hostConfig(parsed, surroundings, { volumes, ports, network }),
    NetworkingConfig: { EndpointsConfig: network.endpoints },
  };
}

function config(
  parsed: ParsedArguments,
  surroundings: RequestSurroundings,
  volumes: VolumeFlags,
  ports: PublishedPorts,
): ContainerConfig {
  const [image = "", ...command] = parsed.positional;
  const health = healthcheck(parsed);
  return {
    Hostname: parsed.string("hostname"),
    Domainname: parsed.string("domainname"),
    User: parsed.string("user"),
    ...attachment(parsed),
    ...(Object.keys(ports.exposed).length === 0 ? {} : { ExposedPorts: ports.exposed }),
    Tty: parsed.bool("tty"),
    Env: environment(parsed, surroundings.env),
    Cmd: command.length === 0 ? null : command,
    ...(health === undefined ? {} : { Healthcheck: health }),
    Image: image,
    Volumes: volumes.volumes,
    WorkingDir: parsed.string("workdir"),
    Entrypoint: parsed.changed("entrypoint") ? [parsed.string("entrypoint")] : null,
    OnBuild: null,
    Labels: labels(parsed),
    ...(parsed.string("stop-signal") === "" ? {} : { StopSignal: parsed.string("stop-signal") }),
    ...(parsed.changed("stop-timeout") ? { StopTimeout: parsed.number("stop-timeout") } : {}),
  };
}

function attachment(parsed: ParsedArguments): ContainerConfig {
  const wanted = new Set(parsed.list("attach").map(attachStream));
  const isDefault = wanted.size === 0;
  const openStdin = parsed.bool("interactive");
  const stdin = openStdin || wanted.has("stdin");
  return {
    AttachStdin: stdin,
    AttachStdout: isDefault || wanted.has("stdout"),
    AttachStderr: isDefault || wanted.has("stderr"),
    OpenStdin: openStdin,
    StdinOnce: openStdin && stdin,
  };
}

/** A lone key in a file is dropped, as Docker's command line does; on the command line its value is empty. */
function labels(parsed: ParsedArguments): Record<string, string> {
  const entries = parsed.list("label-file").flatMap((path) => readKeyValueFile(path, () => undefined));
  return keyValues([...entries, ...parsed.list("label")]);
}

function healthcheck(parsed: ParsedArguments): HealthConfig | undefined {
  const command = parsed.string("health-cmd");
  const fields = {
    Interval: "health-interval",
    Timeout: "health-timeout",
    StartPeriod: "health-start-period",
    StartInterval: "health-start-interval",
    Retries: "health-retries",
  } as const;
  const health: HealthConfig = command === "" ? {} : { Test: ["CMD-SHELL", command] };
  for (const [field, flag] of Object.entries(fields)) {
    const value = parsed.number(flag);
    if (value < 0 && !parsed.bool("no-healthcheck")) throw new Error(`--${flag} cannot be negative`);
    if (value !== 0) health[field as keyof typeof fields] = value;
  }
  const isSet = Object.keys(health).length > 0;
  if (!parsed.bool("no-healthcheck")) return isSet ? health : undefined;
  if (isSet) throw new Error("--no-healthcheck conflicts with --health-* options");
  return { Test: ["NONE"] };
}

function networks(parsed: ParsedArguments): NetworkRequest {
  return networkRequest(parsed.list("network").map(networkAttachment), {
    aliases: parsed.list("network-alias"),
    links: parsed.list("link"),
    ipv4: parsed.string("ip"),
    ipv6: parsed.string("ip6"),
    linkLocalAddresses: parsed.list("link-local-ip"),
    macAddress: parsed.string("mac-address"),
  });
}

function hostConfig(
  parsed: ParsedArguments,
  surroundings: RequestSurroundings,
  parts: { volumes: VolumeFlags; ports: PublishedPorts; network: NetworkRequest },
): HostConfig {
  const security = securityOptions(parsed.list("security-opt"));
  const devices = deviceFlags(parsed.list("device"));
  const requests = [...parsed.list("gpus").map(gpuRequest), ...devices.requests];
  return {
    Binds: parts.volumes.binds,
    ContainerIDFile: parsed.string("cidfile"),
    LogConfig: logConfig(parsed),
    NetworkMode: parts.network.mode,
    PortBindings: parts.ports.bindings,
    RestartPolicy: restartPolicyOf(parsed),
    AutoRemove: parsed.bool("rm"),
    VolumeDriver: parsed.string("volume-driver"),
    VolumesFrom: orNull(parsed.list("volumes-from")),
    ConsoleSize: [...surroundings.consoleSize],
    CapAdd: capabilities(parsed.list("cap-add")),
    CapDrop: capabilities(parsed.list("cap-drop")),
    Dns: parsed.list("dns").map(dnsAddress),
    DnsOptions: [...parsed.list("dns-option")],
    DnsSearch: parsed.list("dns-search").map(searchDomain),
    ExtraHosts: orNull(parsed.list("add-host").map(extraHost)),
    GroupAdd: orNull(parsed.list("group-add")),
    IpcMode: parsed.string("ipc"),
    Cgroup: "",
    Links: orNull(parsed.list("link")),
    OomScoreAdj: parsed.number("oom-score-adj"),
    ...namespaces(parsed),
    Privileged: parsed.bool("privileged"),
    PublishAllPorts: parsed.bool("publish-all"),
    ReadonlyRootfs: parsed.bool("read-only"),
    SecurityOpt: security.options,
    ...optional(parsed),
    ShmSize: parsed.number("shm-size"),
    Isolation: parsed.string("isolation"),
    ...resources(parsed),
    Devices: devices.mappings,
    DeviceRequests: requests.length === 0 ? null : requests,
    MaskedPaths: security.maskedPaths,
    ReadonlyPaths: security.readonlyPaths,
  };
}

function namespaces(parsed: ParsedArguments): HostConfig {
  const pid = parsed.string("pid");
  if (!["", "host"].includes(pid) && !/^container:./.test(pid)) throw new Error("--pid: invalid PID mode");
  if (!["", "host"].includes(parsed.string("uts"))) throw new Error("--uts: invalid UTS mode");
  if (!["", "host"].includes(parsed.string("userns"))) throw new Error("--userns: invalid USER mode");
  const cgroup = parsed.string("cgroupns");
  if (!["", "host", "private"].includes(cgroup)) throw new Error("--cgroupns: invalid CGROUP mode");
  return {
    PidMode: pid,
    UTSMode: parsed.string("uts"),
    UsernsMode: parsed.string("userns"),
    CgroupnsMode: cgroup,
  };
}

/** Fields that are left out when nothing was said. */
function optional(parsed: ParsedArguments): HostConfig {
  const fields: HostConfig = {};
  const storage = parsed.list("storage-opt");
  if (storage.some((option) => !option.includes("="))) throw new Error("invalid storage option");
  if (storage.length > 0) fields.StorageOpt = keyValues(storage);
  if (parsed.list("tmpfs").length > 0) fields.Tmpfs = keyValues(parsed.list("tmpfs"), ":");
  if (Object.keys(parsed.map("sysctl")).length > 0) fields.Sysctls = { ...parsed.map("sysctl") };
  if (Object.keys(parsed.map("annotation")).length > 0) fields.Annotations = { ...parsed.map("annotation") };
  if (parsed.string("runtime") !== "") fields.Runtime = parsed.string("runtime");
  if (parsed.list("mount").length > 0) fields.Mounts = parsed.list("mount").map(mountRequest);
  if (parsed.changed("init")) fields.Init = parsed.bool("init");
  return fields;
}

function logConfig(parsed: ParsedArguments): NonNullable<HostConfig["LogConfig"]> {
  const driver = parsed.string("log-driver");
  const options = keyValues(parsed.list("log-opt"));
  if (driver === "none" && Object.keys(options).length > 0) {
    throw new Error("invalid logging opts for driver none");
  }
  return { Type: driver, Config: options };
}

function restartPolicyOf(parsed: ParsedArguments): NonNullable<HostConfig["RestartPolicy"]> {
  const policy = restartPolicy(parsed.string("restart"));
  if (parsed.bool("rm") && !["", "no"].includes(policy.Name ?? "")) {
    throw new Error("conflicting options: cannot specify both --restart and --rm");
  }
  return policy;
}

/** Reads `on-failure:3`. Throws `Error` in Docker's words. */
export function restartPolicy(text: string): NonNullable<HostConfig["RestartPolicy"]> {
  const colon = text.indexOf(":");
  const name = colon < 0 ? text : text.slice(0, colon);
  const count = colon < 0 ? "" : text.slice(colon + 1);
  if (colon >= 0 && name === "") {
    throw new Error("invalid restart policy format: no policy provided before colon");
  }
  if (!/^([+-]?\d{1,15})?$/.test(count)) {
    throw new Error("invalid restart policy format: maximum retry count must be an integer");
  }
  return { Name: name, MaximumRetryCount: Number(count) };
}

/** Names as the daemon writes them, each once. */
function capabilities(values: readonly string[]): Strings {
  const names = values.map((value) => {
    const name = value.toUpperCase();
    return name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`;
  });
  return orNull([...new Set(names)].sort());
}

function keyValues(entries: readonly string[], separator = "="): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf(separator);
      return at < 0 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
}

function orNull(values: readonly string[]): Strings {
  return values.length === 0 ? null : [...values];
}
