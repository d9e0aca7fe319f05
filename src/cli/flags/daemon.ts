import type { FlagSpec } from "../flags.ts";

const refusedByDaemon = "this version of gantry does not serve it";

function refused(name: string, type: FlagSpec["type"], help: string): FlagSpec {
  return { name, type, help, refused: refusedByDaemon };
}

/** Flags of `gantry daemon`, with dockerd's names and meaning. */
export const daemonFlags: readonly FlagSpec[] = [
  {
    name: "add-runtime",
    type: "list",
    placeholder: "NAME=PATH",
    help: "One more OCI runtime that containers may choose with --runtime",
  },
  {
    name: "bip",
    type: "string",
    placeholder: "CIDR",
    help: "Address and prefix length of the default bridge, as in 172.17.0.1/16",
  },
  {
    name: "bridge",
    short: "b",
    type: "string",
    default: "gantry0",
    help: "Name of the default network's bridge, or none for no default network",
  },
  {
    name: "cdi-spec-dir",
    type: "list",
    placeholder: "DIRECTORY",
    help: "Where specifications of devices (CDI) lie, in place of /etc/cdi and /var/run/cdi",
  },
  {
    name: "cgroup-parent",
    type: "string",
    default: "gantry",
    help: "Control group that holds the containers' own",
  },
  {
    name: "config-file",
    type: "string",
    default: "/etc/gantry/daemon.json",
    help: "File with options in JSON; an option may be there or on the command line, not both",
  },
  {
    name: "data-root",
    short: "g",
    type: "string",
    default: "/var/lib/gantry",
    help: "Directory for what must survive a reboot: images, containers, volumes, records",
  },
  { name: "debug", short: "D", type: "bool", help: "Log what is done in detail" },
  {
    name: "default-address-pool",
    type: "list",
    placeholder: "base=CIDR,size=LENGTH",
    help: "Networks without --subnet get subnets of this length out of this range; may be given several times",
  },
  {
    name: "default-runtime",
    type: "string",
    help: "OCI runtime of containers that choose none (crun where it works, else runc)",
  },
  { name: "dns", type: "list", help: "Name server for containers in place of the host's" },
  { name: "dns-opt", type: "list", help: "Resolver option for containers" },
  { name: "dns-search", type: "list", help: "Search domain for containers" },
  {
    name: "exec-root",
    type: "string",
    default: "/run/gantry",
    help: "Directory for what a reboot ends: sockets, bundles, namespaces",
  },
  {
    name: "fixed-cidr",
    type: "string",
    placeholder: "CIDR",
    help: "Part of the bridge's subnet that containers get their addresses from",
  },
  {
    name: "group",
    short: "G",
    type: "string",
    default: "docker",
    help: "Group that may use the unix socket",
  },
  {
    name: "host",
    short: "H",
    type: "list",
    help: "Where to listen: unix:///path or tcp://host:port; may be given several times",
  },
  { name: "icc", type: "bool", default: true, help: "Let containers on the default bridge reach each other" },
  {
    name: "insecure-registry",
    type: "list",
    help: "Registry (host[:port] or CIDR) that may be spoken to without TLS",
  },
  { name: "ip", type: "string", default: "0.0.0.0", help: "Host address of published ports that name none" },
  { name: "ip-forward", type: "bool", default: true, help: "Switch on the kernel's IP forwarding" },
  { name: "iptables", type: "bool", default: true, help: "Make firewall rules (with nftables)" },
  { name: "label", type: "list", placeholder: "KEY=VALUE", help: "Label of this daemon, shown by info" },
  {
    name: "live-restore",
    type: "bool",
    default: true,
    help: "Let containers go on without the daemon; false stops them with it, as Docker does",
  },
  {
    name: "log-driver",
    type: "string",
    default: "json-file",
    help: "Log driver of containers that choose none",
  },
  { name: "log-opt", type: "list", placeholder: "KEY=VALUE", help: "Option of that log driver" },
  {
    name: "log-level",
    short: "l",
    type: "string",
    default: "info",
    help: "Lowest level that is logged: debug, info, warn, error or fatal",
  },
  {
    name: "max-concurrent-downloads",
    type: "int",
    default: 3,
    help: "Layers that are fetched at the same time",
  },
  {
    name: "max-concurrent-uploads",
    type: "int",
    default: 5,
    help: "Layers that are sent at the same time",
  },
  {
    name: "max-download-attempts",
    type: "int",
    default: 5,
    help: "How often a request to a registry is tried",
  },
  { name: "mtu", type: "int", default: 1500, help: "MTU of the default network in bytes" },
  {
    name: "pidfile",
    short: "p",
    type: "string",
    help: "File for the daemon's process id (default EXEC-ROOT/gantry.pid)",
  },
  { name: "registry-mirror", type: "list", help: "URL of a mirror to ask before Docker Hub" },
  {
    name: "restart",
    short: "r",
    type: "bool",
    default: true,
    help: "Start containers with the daemon that their restart policies want started",
  },
  {
    name: "shutdown-timeout",
    type: "int",
    default: 15,
    help: "Seconds that containers get to stop when the daemon has to stop them",
  },
  {
    name: "storage-driver",
    short: "s",
    type: "string",
    help: "How layers are kept: overlay2, btrfs, fuse-overlayfs or vfs (default: found by a trial)",
  },
  refused("default-ulimit", "list", "Limits of containers that set none"),
  refused("seccomp-profile", "string", "System call filter of containers that choose none"),
  { name: "tls", type: "bool", help: "Encrypt TCP sockets; implied by --tlsverify" },
  {
    name: "tlscacert",
    type: "string",
    placeholder: "FILE",
    help: "Authority whose certificates clients must have (default ~/.docker/ca.pem)",
  },
  {
    name: "tlscert",
    type: "string",
    placeholder: "FILE",
    help: "The daemon's certificate (default ~/.docker/cert.pem)",
  },
  {
    name: "tlskey",
    type: "string",
    placeholder: "FILE",
    help: "Key of the daemon's certificate (default ~/.docker/key.pem)",
  },
  { name: "tlsverify", type: "bool", help: "Encrypt TCP sockets, and serve clients with a certificate only" },
  {
    name: "userns-remap",
    type: "string",
    placeholder: "USER[:GROUP]",
    help: "User whose subordinate ids (/etc/subuid, /etc/subgid) containers get, or default",
  },
];
