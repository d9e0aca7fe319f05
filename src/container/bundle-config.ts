/** What is read back from a bundle's `config.json`. */
import { readFileSync } from "node:fs";

interface BundleConfig {
  readonly process?: { readonly args?: readonly string[] };
  readonly linux?: { readonly cgroupsPath?: string };
}

/** Nothing when it is not there or no JSON: whoever asks can do without. */
function readConfig(bundle: string): BundleConfig {
  try {
    return JSON.parse(readFileSync(`${bundle}/config.json`, "utf8")) as BundleConfig;
  } catch {
    return {};
  }
}

/** The program of a bundle's process, for messages. */
export function firstArgument(bundle: string): string {
  return readConfig(bundle).process?.args?.[0] ?? "";
}

/** The cgroup that the runtime was asked to make. */
export function plannedCgroup(bundle: string): string {
  return readConfig(bundle).linux?.cgroupsPath ?? "";
}
