/** Places where a variable's text becomes a number or a truth: in YAML it can only stand as text. */
import { PathTable, type Tree } from "../tree.ts";

export type Cast = (text: string, warn: (message: string) => void) => Tree;

const service = (names: string, cast: Cast): [string, Cast][] =>
  names.split(" ").map((name) => [`services.*.${name}`, cast]);

/** The casts by path. They throw `Error` for a text that is none. */
export const casts = new PathTable<Cast>(
  Object.fromEntries([
    ...service(
      "configs.*.mode cpu_count cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares deploy.replicas " +
        "deploy.update_config.parallelism deploy.rollback_config.parallelism " +
        "deploy.restart_policy.max_attempts deploy.placement.max_replicas_per_node healthcheck.retries " +
        "oom_score_adj pids_limit ports.*.target scale secrets.*.mode ulimits.* ulimits.*.hard ulimits.*.soft",
      toInteger,
    ),
    ...service(
      "cpu_percent cpus deploy.update_config.max_failure_ratio deploy.rollback_config.max_failure_ratio",
      toFloat,
    ),
    ...service(
      "init healthcheck.disable oom_kill_disable privileged read_only stdin_open tty volumes.*.read_only " +
        "volumes.*.volume.nocopy",
      toBoolean,
    ),
    ...["external", "internal", "attachable", "enable_ipv4", "enable_ipv6"].map((name): [string, Cast] => [
      `networks.*.${name}`,
      toBoolean,
    ]),
    ...["volumes", "secrets", "configs"].map((name): [string, Cast] => [`${name}.*.external`, toBoolean]),
  ]),
);

function toInteger(text: string): Tree {
  if (!/^[-+]?\d+$/.test(text)) throw new Error(`${JSON.stringify(text)} is no integer`);
  return Number(text);
}

function toFloat(text: string): Tree {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new Error(`${JSON.stringify(text)} is no number`);
  return value;
}

function toBoolean(text: string, warn: (message: string) => void): Tree {
  const word = text.toLowerCase();
  if (word === "true" || word === "false") return word === "true";
  const isYes = ["y", "yes", "on"].includes(word);
  if (!isYes && !["n", "no", "off"].includes(word)) throw new Error(`invalid boolean: ${text}`);
  warn(
    `${JSON.stringify(text)} for boolean is not supported by YAML 1.2, please use \`${isYes ? "true" : "false"}\``,
  );
  return isYes;
}
