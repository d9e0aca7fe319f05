/** The body that makes a service's container, the same as Docker Compose's. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { ImageInspect } from "../../wire/image.ts";
import type {
  ContainerCreateRequest,
  HealthConfig,
  HostConfig,
  MountPoint,
  PortBinding,
} from "../../wire/container.ts";
import { ComposeError } from "../errors.ts";
import { composeVersion, labels } from "../labels.ts";
import { serviceHash } from "../model/service-hash.ts";
import { imageOf, type HealthCheck, type Project, type Service } from "../model/project.ts";
import { mountsOf } from "./mounts.ts";
import { connectionOf, networkingConfig, type Connection } from "./networks.ts";
import { defined, resourcesOf, restartPolicyOf } from "./resources.ts";

export interface ContainerPlan {
  readonly project: Project;
  /** The service's name. */
  readonly name: string;
  /** With references to other services' containers resolved. */
  readonly service: Service;
  readonly number: number;
  readonly containerName: string;
  readonly image: ImageInspect | undefined;
  readonly inherited?: readonly MountPoint[] | undefined;
  readonly links: readonly string[];
  readonly useAliases: boolean;
  /** More labels: those of a one-off container, or what it replaces. */
  readonly extraLabels?: Readonly<Record<string, string>>;
  readonly autoRemove?: boolean;
  /** Input is connected when it is attached. */
  readonly attachStdin?: boolean;
  /** The daemon takes several networks at once. */
  readonly allNetworks: boolean;
}

export interface CreateRequest {
  readonly request: ContainerCreateRequest;
  readonly connection: Connection;
}

/** Throws {@link ComposeError} for settings that cannot be read. */
export function createRequest(plan: ContainerPlan): CreateRequest {
  const { project, name, service } = plan;
  const connection = connectionOf(plan);
  const networking = networkingConfig(connection, plan.allNetworks);
  const mac = service.mac_address;
  // From API 1.44 on the address belongs to the endpoint.
  const main = [...connection.endpoints.values()][0];
  if (mac !== undefined && plan.allNetworks && main !== undefined) main.MacAddress ??= mac;
  const request: ContainerCreateRequest = {
    Image: imageOf(project, name, service),
    Labels: containerLabels(plan),
    AttachStdin: plan.attachStdin === true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: service.tty === true,
    OpenStdin: service.stdin_open === true,
    StdinOnce: plan.attachStdin === true && service.stdin_open === true,
    Env: environmentOf(service),
    ExposedPorts: exposedPorts(service),
    ...defined({
      Hostname: service.hostname,
      Domainname: service.domainname,
      User: service.user,
      Cmd: service.command,
      Entrypoint: service.entrypoint,
      WorkingDir: service.working_dir,
      StopSignal: service.stop_signal,
      Healthcheck: healthOf(service.healthcheck),
      MacAddress: plan.allNetworks ? undefined : (mac ?? main?.MacAddress),
    }),
    ...(service.stop_grace_period === undefined
      ? {}
      : { StopTimeout: Math.ceil(service.stop_grace_period / 1e9) }),
    HostConfig: hostConfig(plan, connection),
    ...(networking === undefined ? {} : { NetworkingConfig: networking }),
  };
  return { request, connection };
}

function containerLabels({
  project,
  name,
  service,
  number,
  image,
  extraLabels,
}: ContainerPlan): Record<string, string> {
  const dependencies = Object.entries(service.depends_on ?? {}).map(
    ([other, { condition, restart }]) => `${other}:${condition}:${String(restart === true)}`,
  );
  return {
    ...service.labels,
    [labels.project]: project.name,
    [labels.service]: name,
    [labels.version]: composeVersion,
    [labels.workingDirectory]: project.directory,
    [labels.configFiles]: project.files.join(","),
    ...(project.envFiles.length === 0 ? {} : { [labels.environmentFile]: project.envFiles.join(",") }),
    [labels.oneOff]: "False",
    ...(image === undefined ? {} : { [labels.image]: image.Id }),
    [labels.configHash]: serviceHash(service),
    [labels.number]: String(number),
    [labels.dependsOn]: dependencies.sort().join(","),
    ...extraLabels,
  };
}

/** `NAME=text`, and `NAME` alone for what has no value. */
export function environmentOf({ environment }: Pick<Service, "environment">): string[] {
  return Object.entries(environment ?? {})
    .map(([name, value]) => (value === null ? name : `${name}=${value}`))
    .sort();
}

function exposedPorts(service: Service): Record<string, Record<string, never>> {
  const ports: Record<string, Record<string, never>> = {};
  for (const port of service.expose ?? []) ports[port.includes("/") ? port : `${port}/tcp`] = {};
  for (const { target, protocol } of service.ports ?? []) ports[`${target}/${protocol ?? "tcp"}`] = {};
  return ports;
}

function portBindings(service: Service): Record<string, PortBinding[]> {
  const bindings: Record<string, PortBinding[]> = {};
  for (const { target, protocol, host_ip: hostIp, published } of service.ports ?? []) {
    const list = (bindings[`${target}/${protocol ?? "tcp"}`] ??= []);
    list.push({ HostIp: hostIp ?? "", HostPort: published ?? "" });
  }
  return bindings;
}

function healthOf(check: HealthCheck | undefined): HealthConfig | undefined {
  if (check === undefined) return undefined;
  if (check.disable === true) return { Test: ["NONE"] };
  return defined({
    Test: check.test,
    Interval: check.interval,
    Timeout: check.timeout,
    Retries: check.retries,
    StartPeriod: check.start_period,
    StartInterval: check.start_interval,
  });
}

function hostConfig(plan: ContainerPlan, connection: Connection): HostConfig {
  const { project, service } = plan;
  const { binds, mounts } = mountsOf(plan);
  const security = securityOptions(project, service.security_opt ?? []);
  const isDefaultBridge = ["bridge", "default"].includes(connection.networkMode);
  return {
    ...resourcesOf(service),
    ...(binds.length === 0 ? {} : { Binds: binds }),
    ...(mounts.length === 0 ? {} : { Mounts: mounts }),
    NetworkMode: connection.networkMode,
    PortBindings: portBindings(service),
    ...(service.logging === undefined
      ? {}
      : { LogConfig: defined({ Type: service.logging.driver, Config: service.logging.options }) }),
    ...defined({
      RestartPolicy: restartPolicyOf(service),
      Annotations: service.annotations,
      CapAdd: service.cap_add,
      CapDrop: service.cap_drop,
      Init: service.init,
      IpcMode: service.ipc,
      CgroupnsMode: service.cgroup,
      ReadonlyRootfs: service.read_only,
      ShmSize: service.shm_size,
      Sysctls: service.sysctls,
      VolumeDriver: service.volume_driver,
      VolumesFrom: service.volumes_from,
      Dns: service.dns,
      DnsSearch: service.dns_search,
      DnsOptions: service.dns_opt,
      StorageOpt: service.storage_opt,
      UsernsMode: service.userns_mode,
      UTSMode: service.uts,
      Privileged: service.privileged,
      PidMode: service.pid,
      Isolation: service.isolation,
      Runtime: service.runtime,
      GroupAdd: service.group_add,
    }),
    ...(service.extra_hosts === undefined ? {} : { ExtraHosts: extraHosts(service) }),
    ...(service.tmpfs === undefined ? {} : { Tmpfs: tmpfs(service.tmpfs) }),
    ...(service.security_opt === undefined ? {} : { SecurityOpt: security.options }),
    // Names on networks of one's own are the endpoint's; only the default bridge has links of the old kind.
    ...(isDefaultBridge && plan.links.length > 0 ? { Links: [...plan.links] } : {}),
    ...(security.isUnconfined ? { MaskedPaths: [], ReadonlyPaths: [] } : {}),
    ...(plan.autoRemove === true ? { AutoRemove: true } : {}),
  };
}

function extraHosts(service: Service): string[] {
  return Object.entries(service.extra_hosts ?? {}).flatMap(([name, addresses]) =>
    addresses.map((address) => `${name}:${address}`),
  );
}

function tmpfs(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((entry) => {
      const colon = entry.indexOf(":");
      return colon < 0 ? [entry, ""] : [entry.slice(0, colon), entry.slice(colon + 1)];
    }),
  );
}

/** A seccomp profile is named in the file and sent whole. */
function securityOptions(
  project: Project,
  given: readonly string[],
): { readonly options: string[]; readonly isUnconfined: boolean } {
  const options: string[] = [];
  for (const option of given) {
    if (option === "systempaths=unconfined") continue;
    const match = /^([^=:]+)[=:](.*)$/s.exec(option);
    if (match === null && option !== "no-new-privileges") {
      throw new ComposeError(`Invalid security-opt: "${option}"`);
    }
    if (match?.[1] !== "seccomp" || match[2] === "unconfined" || match[2] === "builtin") {
      options.push(option);
      continue;
    }
    try {
      const text = readFileSync(resolve(project.directory, match[2]!), "utf8");
      options.push(`seccomp=${JSON.stringify(JSON.parse(text))}`);
    } catch (error) {
      throw new ComposeError(`opening seccomp profile (${match[2]!}) failed: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  return { options, isUnconfined: given.includes("systempaths=unconfined") };
}
