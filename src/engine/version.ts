import { arch, release, version as osVersion } from "node:os";
import type { VersionInfo } from "../wire/system.ts";
import { apiVersion, engineVersion, minApiVersion } from "./config.ts";
import type { EngineContext } from "./context.ts";

/** Go's name of this machine's architecture, as Docker's API writes it. */
function goArch(): string {
  const names: Readonly<Record<string, string>> = {
    x64: "amd64",
    ia32: "386",
    arm64: "arm64",
    ppc64: "ppc64le",
  };
  return names[arch()] ?? arch();
}

export async function version(context: EngineContext): Promise<VersionInfo> {
  const common = {
    ApiVersion: apiVersion,
    MinAPIVersion: minApiVersion,
    GitCommit: "",
    GoVersion: `node ${process.versions.node}`,
    Os: "linux",
    Arch: goArch(),
    KernelVersion: release(),
  };
  return {
    Platform: { Name: "gantry" },
    Version: engineVersion,
    ...common,
    BuildTime: "",
    Components: [
      {
        Name: "Engine",
        Version: engineVersion,
        Details: {
          ...common,
          MinAPIVersion: minApiVersion,
          BuildTime: "",
          Experimental: "false",
          KernelBuild: osVersion(),
        },
      },
      ...context.runtimes.versions.map(({ name, version, commit }) => ({
        Name: name,
        Version: version,
        Details: { GitCommit: commit },
      })),
    ],
  };
}
