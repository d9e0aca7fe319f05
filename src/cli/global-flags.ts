import type { FlagSpec } from "./flags.ts";

/** Flags in front of the command. */
export const globalFlags: readonly FlagSpec[] = [
  {
    name: "config",
    type: "string",
    placeholder: "DIRECTORY",
    help: "Directory of the client's settings file, config.json",
  },
  {
    name: "context",
    short: "c",
    type: "string",
    placeholder: "NAME",
    help: "Context whose daemon to talk to (environment: DOCKER_CONTEXT; see gantry context)",
  },
  { name: "debug", short: "D", type: "bool", help: "Show where an unexpected error came from" },
  {
    name: "host",
    short: "H",
    type: "list",
    placeholder: "ADDRESS",
    help: "The daemon to talk to: unix:///path/to/socket, tcp://host:port or ssh://user@host (environment: GANTRY_HOST, DOCKER_HOST)",
  },
  {
    name: "log-level",
    short: "l",
    type: "string",
    default: "info",
    placeholder: "LEVEL",
    help: "What the client says about its own work: debug, info, warn, error or fatal",
    validate: (value) => {
      if (!["debug", "info", "warn", "error", "fatal"].includes(value)) {
        throw new Error("use debug, info, warn, error or fatal");
      }
    },
  },
  { name: "tls", type: "bool", help: "Encrypt TCP connections; implied by --tlsverify" },
  {
    name: "tlscacert",
    type: "string",
    placeholder: "FILE",
    help: "Authority of the daemon's certificate (default ~/.docker/ca.pem)",
  },
  {
    name: "tlscert",
    type: "string",
    placeholder: "FILE",
    help: "The client's certificate (default ~/.docker/cert.pem)",
  },
  {
    name: "tlskey",
    type: "string",
    placeholder: "FILE",
    help: "Key of the client's certificate (default ~/.docker/key.pem)",
  },
  {
    name: "tlsverify",
    type: "bool",
    help: "Encrypt TCP connections and check the daemon (environment: DOCKER_TLS_VERIFY)",
  },
  { name: "version", short: "v", type: "bool", help: "Print the version and nothing else" },
];
