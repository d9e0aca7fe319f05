/** A project in its final form: what the files say, for one set of profiles. */
import type { Decoded, EnvFile } from "./decode.ts";
import type { Ulimit } from "./write-json.ts";

export type Pairs = Record<string, string>;

export interface Dependency {
  condition: string;
  restart?: boolean;
  required: boolean;
}

export interface FileReference {
  source: string;
  target?: string;
  uid?: string;
  gid?: string;
  mode?: number;
}

export interface ServiceNetwork {
  priority?: number;
  gw_priority?: number;
  aliases?: string[];
  ipv4_address?: string;
  ipv6_address?: string;
  link_local_ips?: string[];
  mac_address?: string;
  driver_opts?: Pairs;
}

export interface ServicePort {
  mode?: string;
  host_ip?: string;
  target: number;
  published?: string;
  protocol?: string;
}

export interface VolumeMount {
  type: string;
  source?: string;
  target: string;
  read_only?: boolean;
  consistency?: string;
  bind?: { selinux?: string; propagation?: string; create_host_path?: boolean; recursive?: string };
  volume?: { nocopy?: boolean; subpath?: string; labels?: Pairs };
  tmpfs?: { size?: number; mode?: number };
  image?: { subpath?: string };
}

export interface DeviceRequest {
  capabilities?: string[];
  driver?: string;
  count?: number;
  device_ids?: string[];
  options?: Pairs;
}

export interface ResourceLimits {
  cpus?: number;
  memory?: number;
  pids?: number;
  devices?: DeviceRequest[];
}

export interface BuildConfig {
  context: string;
  dockerfile?: string;
  dockerfile_inline?: string;
  entitlements?: string[];
  args?: Record<string, string | null>;
  ssh?: Record<string, string | null>;
  labels?: Pairs;
  cache_from?: string[];
  cache_to?: string[];
  no_cache?: boolean;
  additional_contexts?: Pairs;
  pull?: boolean;
  extra_hosts?: Record<string, string[]>;
  isolation?: string;
  network?: string;
  target?: string;
  secrets?: FileReference[];
  shm_size?: number;
  tags?: string[];
  ulimits?: Record<string, Ulimit>;
  platforms?: string[];
  privileged?: boolean;
  /** Attestations: `true`, `false`, or what buildx takes. */
  provenance?: string;
  sbom?: string;
}

export interface Hook {
  command: string[];
  user?: string;
  privileged?: boolean;
  working_dir?: string;
  environment?: Record<string, string | null>;
}

export interface WatchTrigger {
  path: string;
  action: string;
  target?: string;
  exec?: Hook;
  ignore?: string[];
  include?: string[];
  initial_sync?: boolean;
}

export interface HealthCheck {
  test?: string[];
  timeout?: number;
  interval?: number;
  retries?: number;
  start_period?: number;
  start_interval?: number;
  disable?: boolean;
}

interface ThrottleDevice {
  path: string;
  rate: number;
}

/** A service; keys as in compose files, sizes in bytes, durations in nanoseconds. */
export interface Service {
  profiles?: string[];
  annotations?: Pairs;
  attach?: boolean;
  build?: BuildConfig;
  develop?: { watch?: WatchTrigger[] };
  blkio_config?: {
    weight?: number;
    weight_device?: { path: string; weight: number }[];
    device_read_bps?: ThrottleDevice[];
    device_read_iops?: ThrottleDevice[];
    device_write_bps?: ThrottleDevice[];
    device_write_iops?: ThrottleDevice[];
  };
  cap_add?: string[];
  cap_drop?: string[];
  cgroup_parent?: string;
  cgroup?: string;
  cpu_count?: number;
  cpu_percent?: number;
  cpu_period?: number;
  cpu_quota?: number;
  cpu_rt_period?: number;
  cpu_rt_runtime?: number;
  cpus?: number;
  cpuset?: string;
  cpu_shares?: number;
  command?: string[];
  configs?: FileReference[];
  container_name?: string;
  depends_on?: Record<string, Dependency>;
  deploy?: {
    mode?: string;
    replicas?: number;
    labels?: Pairs;
    resources?: { limits?: ResourceLimits; reservations?: ResourceLimits };
    restart_policy?: { condition?: string; max_attempts?: number };
  };
  device_cgroup_rules?: string[];
  devices?: { source: string; target: string; permissions?: string }[];
  dns?: string[];
  dns_opt?: string[];
  dns_search?: string[];
  domainname?: string;
  entrypoint?: string[];
  environment?: Record<string, string | null>;
  env_file?: EnvFile[];
  expose?: string[];
  external_links?: string[];
  extra_hosts?: Record<string, string[]>;
  group_add?: string[];
  gpus?: DeviceRequest[];
  hostname?: string;
  healthcheck?: HealthCheck;
  image?: string;
  init?: boolean;
  ipc?: string;
  isolation?: string;
  labels?: Pairs;
  label_file?: string[];
  links?: string[];
  logging?: { driver?: string; options?: Pairs };
  mem_limit?: number;
  mem_reservation?: number;
  memswap_limit?: number;
  mem_swappiness?: number;
  mac_address?: string;
  network_mode?: string;
  networks?: Record<string, ServiceNetwork | null>;
  oom_kill_disable?: boolean;
  oom_score_adj?: number;
  pid?: string;
  pids_limit?: number;
  platform?: string;
  ports?: ServicePort[];
  privileged?: boolean;
  pull_policy?: string;
  read_only?: boolean;
  restart?: string;
  runtime?: string;
  scale?: number;
  secrets?: FileReference[];
  security_opt?: string[];
  shm_size?: number;
  stdin_open?: boolean;
  stop_grace_period?: number;
  stop_signal?: string;
  storage_opt?: Pairs;
  sysctls?: Pairs;
  tmpfs?: string[];
  tty?: boolean;
  ulimits?: Record<string, Ulimit>;
  user?: string;
  userns_mode?: string;
  uts?: string;
  volume_driver?: string;
  volumes?: VolumeMount[];
  volumes_from?: string[];
  working_dir?: string;
  post_start?: Hook[];
  pre_stop?: Hook[];
}

export interface Network {
  name: string;
  driver?: string;
  driver_opts?: Pairs;
  ipam?: {
    driver?: string;
    config?: { subnet?: string; gateway?: string; ip_range?: string; aux_addresses?: Pairs }[];
    options?: Pairs;
  };
  external?: boolean;
  internal?: boolean;
  attachable?: boolean;
  labels?: Pairs;
  enable_ipv4?: boolean;
  enable_ipv6?: boolean;
}

export interface Volume {
  name: string;
  driver?: string;
  driver_opts?: Pairs;
  external?: boolean;
  labels?: Pairs;
}

export interface FileObject {
  name: string;
  file?: string;
  environment?: string;
  content?: string;
  external?: boolean;
  driver?: string;
  template_driver?: string;
}

/** What the files describe. */
export interface Project {
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  /** Absolute, in the order in which they were read. */
  readonly files: readonly string[];
  /** Variables of the environment and of `.env`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly envFiles: readonly string[];
  services: Record<string, Service>;
  /** Those whose profiles are not active. */
  disabled: Record<string, Service>;
  networks: Record<string, Network>;
  volumes: Record<string, Volume>;
  secrets: Record<string, FileObject>;
  configs: Record<string, FileObject>;
  /** Between the parts of a container's name: `-`, and `_` for projects of Compose 1 and Fig. */
  readonly separator: "-" | "_";
  /** The decoded whole, for output: with extension keys. */
  readonly extra: Decoded;
}

/** A project of which nothing but its name is known. */
export function emptyProject(name: string): Project {
  return {
    name,
    directory: "",
    files: [],
    environment: {},
    envFiles: [],
    services: {},
    disabled: {},
    networks: {},
    volumes: {},
    secrets: {},
    configs: {},
    separator: "-",
    extra: {},
  };
}

/** Names in the order in which everything is shown. */
export function namesOf(parts: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(parts).sort();
}

/** How many containers a service has. */
export function scaleOf(service: Service): number {
  return service.scale ?? service.deploy?.replicas ?? 1;
}

/** The image of a service: its own name for what it builds, unless it names one. */
export function imageOf(
  project: Pick<Project, "name" | "separator">,
  name: string,
  service: Service,
): string {
  return service.image ?? `${project.name}${project.separator}${name}`;
}
