import type { FlagSpec } from "../flags.ts";

/** What `context create` and `context update` share. */
export const contextFlags: readonly FlagSpec[] = [
  { name: "description", type: "string", help: "Words about the context" },
  {
    name: "docker",
    type: "list",
    placeholder: "KEY=VALUE",
    help: "Where the daemon is: host=ADDRESS, ca=FILE, cert=FILE, key=FILE, skip-tls-verify=BOOL, from=CONTEXT",
  },
];
