import type { FlagSpec } from "./flags.ts";

const noTls = "the client speaks no TLS; use a unix socket, or tcp:// through an SSH tunnel";

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
    help: 'Docker\'s named endpoints; gantry knows "default" alone, name daemons with --host',
    validate: (value) => {
      if (value !== "" && value !== "default") {
        throw new Error("gantry has no contexts: name the daemon with -H or GANTRY_HOST");
      }
    },
  },
  { name: "debug", short: "D", type: "bool", help: "Show where an unexpected error came from" },
  {
    name: "host",
    short: "H",
    type: "list",
    placeholder: "ADDRESS",
    help: "The daemon to talk to: unix:///path/to/socket or tcp://host:port (environment: GANTRY_HOST, DOCKER_HOST)",
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
  { name: "tls", type: "bool", help: "Encrypt the connection with TLS", refused: noTls, hidden: true },
  {
    name: "tlscacert",
    type: "string",
    help: "Authority that signed the daemon's certificate",
    refused: noTls,
    hidden: true,
  },
  { name: "tlscert", type: "string", help: "Certificate of the client", refused: noTls, hidden: true },
  { name: "tlskey", type: "string", help: "Key of the client's certificate", refused: noTls, hidden: true },
  {
    name: "tlsverify",
    type: "bool",
    help: "Encrypt the connection and check the daemon",
    refused: noTls,
    hidden: true,
  },
  { name: "version", short: "v", type: "bool", help: "Print the version and nothing else" },
];
