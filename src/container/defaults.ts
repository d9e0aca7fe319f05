/** What the daemon says for containers that do not say it themselves, each time they start (dockerd's flags). */
import type { Ulimit } from "../wire/container.ts";

export interface ContainerDefaults {
  /** Limits by name, for containers that set none of that name (`--default-ulimit`). */
  readonly ulimits: readonly Ulimit[];
  readonly seccomp: SeccompDefault;
  /** An init is the first process of containers that did not say (`--init`). */
  readonly init: boolean;
  /** The init program; undefined for the one that is found (`--init-path`). */
  readonly initPath: string | undefined;
  readonly noNewPrivileges: boolean;
}

/** System call filter (`--seccomp-profile`). */
export interface SeccompDefault {
  /** `builtin`, `unconfined` or the path of a file, as it was given. */
  readonly name: string;
  /** The file's text. */
  readonly json?: string;
}

/** What a daemon without any of these flags says. */
export const plainDefaults: ContainerDefaults = {
  ulimits: [],
  seccomp: { name: "builtin" },
  init: false,
  initPath: undefined,
  noNewPrivileges: false,
};

/** A container's limits with those of the daemon that it does not set itself. */
export function withDefaultUlimits(
  own: readonly Ulimit[] | null | undefined,
  defaults: readonly Ulimit[],
): readonly Ulimit[] {
  const set = own ?? [];
  return [...set, ...defaults.filter(({ Name }) => !set.some((limit) => limit.Name === Name))];
}
