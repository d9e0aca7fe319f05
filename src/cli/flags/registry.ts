import type { FlagSpec } from "../flags.ts";

const root: FlagSpec = {
  name: "root",
  type: "string",
  default: "/var/lib/gantry-registry",
  help: "Directory of the registry's blobs and records",
};

/** What garbage collection keeps; for the one beside the requests as for the one by hand. */
const collection: readonly FlagSpec[] = [
  {
    name: "gc-grace",
    type: "duration",
    default: 3600e9,
    help: "Keep what was pushed less long ago, whether anything refers to it or not",
  },
  {
    name: "gc-untagged",
    type: "bool",
    help: "Remove manifests too that have no tag and that nothing with a tag refers to",
  },
  {
    name: "upload-expiry",
    type: "duration",
    default: 24 * 3600e9,
    help: "Forget uploads that nobody went on with for so long",
  },
];

export const registryServeFlags: readonly FlagSpec[] = [
  {
    name: "address",
    short: "a",
    type: "string",
    placeholder: "HOST:PORT",
    default: "127.0.0.1:5000",
    help: "Where to listen; :5000 is every address of the machine",
  },
  {
    name: "anonymous-pull",
    type: "bool",
    help: "With --htpasswd: let everybody pull, and only users push and delete",
  },
  { name: "debug", short: "D", type: "bool", help: "Log every request" },
  {
    name: "gc-interval",
    type: "duration",
    default: 24 * 3600e9,
    help: "Collect garbage so often; 0 for never",
  },
  {
    name: "htpasswd",
    type: "string",
    placeholder: "FILE",
    help: "Who may use it: lines of USER:HASH with bcrypt hashes. Read anew when it changes",
  },
  { name: "keep-all", type: "bool", help: "Refuse to delete tags, manifests and blobs" },
  {
    name: "metrics-address",
    type: "string",
    placeholder: "HOST:PORT",
    help: "Show the metrics there too, to everybody; /metrics of the registry itself wants a login where the rest does",
  },
  {
    name: "proxy",
    type: "string",
    placeholder: "URL",
    help: "Be a cache of another registry: fetch from it what is asked for and not here",
  },
  { name: "proxy-password-file", type: "string", placeholder: "FILE", help: "Password for that registry" },
  { name: "proxy-username", type: "string", placeholder: "USER", help: "User at that registry" },
  { name: "read-only", type: "bool", help: "Refuse pushes and deletions" },
  root,
  {
    name: "tls-cert",
    type: "string",
    placeholder: "FILE",
    help: "Certificate, in PEM. SIGHUP reads it anew",
  },
  { name: "tls-key", type: "string", placeholder: "FILE", help: "Key of the certificate, in PEM" },
  ...collection,
].sort((a, b) => (a.name < b.name ? -1 : 1)) as FlagSpec[];

export const registryCollectFlags: readonly FlagSpec[] = [
  { name: "dry-run", type: "bool", help: "Only say what would go" },
  ...collection,
  root,
];
