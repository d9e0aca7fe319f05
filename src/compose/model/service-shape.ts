/** The keys of a service and of its parts, in the order of compose-go 2.4 (`shape.ts`). */
import { each, shape } from "./shape.ts";

const hook = shape([
  ["command", "command", { keep: true }],
  ["user", "string"],
  ["privileged", "bool"],
  ["working_dir", "string"],
  ["environment", "environment"],
]);

const fileReference = shape([...each("string", "source target uid gid"), ["mode", "optionalInt"]]);

const deviceRequest = shape(
  [
    ["capabilities", "strings"],
    ["driver", "string"],
    ["count", "deviceCount"],
    ["device_ids", "strings"],
    ["options", "mapping"],
  ],
  false,
);

const build = shape([
  ...each("string", "context dockerfile dockerfile_inline"),
  ["entitlements", "strings"],
  ["args", "environment"],
  ["ssh", "ssh"],
  ["labels", "labels"],
  ["cache_from", "strings"],
  ["cache_to", "strings"],
  ["no_cache", "bool"],
  ["additional_contexts", "mapping"],
  ["pull", "bool"],
  ["extra_hosts", "hosts"],
  ...each("string", "isolation network target"),
  ["secrets", { list: fileReference }],
  ["shm_size", "bytes"],
  ["tags", "strings"],
  ["ulimits", "ulimits"],
  ["platforms", "strings"],
  ["privileged", "bool"],
  ...each("string", "provenance sbom"),
]);

const weightDevice = shape([
  ["path", "string", { keep: true, json: "Path" }],
  ["weight", "int", { keep: true, json: "Weight" }],
]);

const throttleDevice = shape([
  ["path", "string", { keep: true, json: "Path" }],
  ["rate", "bytes", { keep: true, json: "Rate" }],
]);

const blkio = shape([
  ["weight", "int"],
  ["weight_device", { list: weightDevice }],
  ["device_read_bps", { list: throttleDevice }],
  ["device_read_iops", { list: throttleDevice }],
  ["device_write_bps", { list: throttleDevice }],
  ["device_write_iops", { list: throttleDevice }],
]);

const updateConfig = shape([
  ["parallelism", "optionalInt"],
  ["delay", "duration"],
  ["failure_action", "string"],
  ["monitor", "duration"],
  ["max_failure_ratio", "float32"],
  ["order", "string"],
]);

const genericResource = shape([
  [
    "discrete_resource_spec",
    {
      one: shape([
        ["kind", "string", { keep: true }],
        ["value", "int", { keep: true }],
      ]),
    },
  ],
]);

const resource = shape([
  ["cpus", "nanoCpus"],
  ["memory", "bytes"],
  ["pids", "int"],
  ["devices", { list: deviceRequest }],
  ["generic_resources", { list: genericResource }],
]);

const deploy = shape([
  ["mode", "string"],
  ["replicas", "optionalInt"],
  ["labels", "labels"],
  ["update_config", { one: updateConfig }],
  ["rollback_config", { one: updateConfig }],
  [
    "resources",
    {
      always: shape([
        ["limits", { one: resource }],
        ["reservations", { one: resource }],
      ]),
    },
  ],
  [
    "restart_policy",
    {
      one: shape([
        ["condition", "string"],
        ["delay", "optionalDuration"],
        ["max_attempts", "optionalInt"],
        ["window", "optionalDuration"],
      ]),
    },
  ],
  [
    "placement",
    {
      always: shape([
        ["constraints", "strings"],
        ["preferences", { list: shape([["spread", "string"]]) }],
        ["max_replicas_per_node", "int"],
      ]),
    },
  ],
  ["endpoint_mode", "string"],
]);

const healthcheck = shape([
  ["test", "healthTest"],
  ["timeout", "optionalDuration"],
  ["interval", "optionalDuration"],
  ["retries", "optionalInt"],
  ["start_period", "optionalDuration"],
  ["start_interval", "optionalDuration"],
  ["disable", "bool"],
]);

const serviceNetwork = shape([
  ["priority", "int"],
  ["gw_priority", "int"],
  ["aliases", "strings"],
  ["ipv4_address", "string"],
  ["ipv6_address", "string"],
  ["link_local_ips", "strings"],
  ["mac_address", "string"],
  ["driver_opts", "mapping"],
  ["interface_name", "string"],
]);

const port = shape([
  ...each("string", "name mode host_ip"),
  ["target", "int"],
  ...each("string", "published protocol app_protocol"),
]);

const volumeMount = shape([
  ...each("string", "type source target"),
  ["read_only", "bool"],
  ["consistency", "string"],
  [
    "bind",
    {
      one: shape([
        ["selinux", "string"],
        ["propagation", "string"],
        ["create_host_path", "bool"],
        ["recursive", "string"],
      ]),
    },
  ],
  [
    "volume",
    {
      one: shape([
        ["labels", "labels"],
        ["nocopy", "bool"],
        ["subpath", "string"],
      ]),
    },
  ],
  [
    "tmpfs",
    {
      one: shape([
        ["size", "bytes"],
        ["mode", "int"],
      ]),
    },
  ],
  ["image", { one: shape([["subpath", "string"]]) }],
]);

const trigger = shape([
  ["path", "string", { keep: true }],
  ["action", "string", { keep: true }],
  ["target", "string"],
  ["exec", { always: hook }],
  ["ignore", "strings"],
  ["include", "strings"],
  ["initial_sync", "bool"],
]);

const dependency = shape([
  ["condition", "string"],
  ["restart", "bool"],
  ["required", "bool", { keep: true }],
]);

const device = shape(each("string", "source target permissions"));

/** A service. */
export const serviceShape = shape([
  ["profiles", "strings"],
  ["annotations", "mapping"],
  ["attach", "optionalBool"],
  ["build", { one: build }],
  ["develop", { one: shape([["watch", { list: trigger }]]) }],
  ["blkio_config", { one: blkio }],
  ["cap_add", "strings"],
  ["cap_drop", "strings"],
  ["cgroup_parent", "string"],
  ["cgroup", "string"],
  ["cpu_count", "int"],
  ["cpu_percent", "float32"],
  ...each("int", "cpu_period cpu_quota cpu_rt_period cpu_rt_runtime"),
  ["cpus", "float32"],
  ["cpuset", "string"],
  ["cpu_shares", "int"],
  ["command", "command", { keep: true }],
  ["configs", { list: fileReference }],
  ["container_name", "string"],
  ["credential_spec", { one: shape(each("string", "config file registry")) }],
  ["depends_on", { map: dependency }],
  ["deploy", { one: deploy }],
  ["device_cgroup_rules", "strings"],
  ["devices", { list: device }],
  ["dns", "strings"],
  ["dns_opt", "strings"],
  ["dns_search", "strings"],
  ["dockerfile", "string"],
  ["domainname", "string"],
  ["entrypoint", "command", { keep: true }],
  ["environment", "environment"],
  ["env_file", "envFiles"],
  ["expose", "strings"],
  ["extends", { one: shape(each("string", "file service"), false) }],
  ["external_links", "strings"],
  ["extra_hosts", "hosts"],
  ["group_add", "strings"],
  ["gpus", { list: deviceRequest }],
  ["hostname", "string"],
  ["healthcheck", { one: healthcheck }],
  ["image", "string"],
  ["init", "optionalBool"],
  ["ipc", "string"],
  ["isolation", "string"],
  ["labels", "labels"],
  ["label_file", "strings"],
  ["links", "strings"],
  [
    "logging",
    {
      one: shape([
        ["driver", "string"],
        ["options", "mapping"],
      ]),
    },
  ],
  ["log_driver", "string"],
  ["log_opt", "mapping"],
  ...each("bytes", "mem_limit mem_reservation memswap_limit mem_swappiness"),
  ["mac_address", "string"],
  ["net", "string"],
  ["network_mode", "string"],
  ["networks", { map: serviceNetwork }],
  ["oom_kill_disable", "bool"],
  ["oom_score_adj", "int"],
  ["pid", "string"],
  ["pids_limit", "int"],
  ["platform", "string"],
  ["ports", { list: port }],
  ["privileged", "bool"],
  ["pull_policy", "string"],
  ["read_only", "bool"],
  ["restart", "string"],
  ["runtime", "string"],
  ["scale", "optionalInt"],
  ["secrets", { list: fileReference }],
  ["security_opt", "strings"],
  ["shm_size", "bytes"],
  ["stdin_open", "bool"],
  ["stop_grace_period", "optionalDuration"],
  ["stop_signal", "string"],
  ["storage_opt", "mapping"],
  ["sysctls", "mapping"],
  ["tmpfs", "strings"],
  ["tty", "bool"],
  ["ulimits", "ulimits"],
  ["user", "string"],
  ["userns_mode", "string"],
  ["uts", "string"],
  ["volume_driver", "string"],
  ["volumes", { list: volumeMount }],
  ["volumes_from", "strings"],
  ["working_dir", "string"],
  ["post_start", { list: hook }],
  ["pre_stop", { list: hook }],
]);
