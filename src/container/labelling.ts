/** SELinux for the containers of a daemon with `--selinux-enabled`, on a host whose kernel has it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errorText, invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { isKnownLabel, isSelinuxOn, relabel } from "../linux/selinux.ts";
import type { ContainerRecord } from "./container.ts";
import {
  checkRelabel,
  chooseLabels,
  contextOption,
  type ContainerLabels,
  formatContext,
  freshLevel,
  levelOf,
  parseContainerContexts,
  policyType,
  relabelling,
  sharedLabel,
} from "./selinux.ts";

/** Labels of a container that is being made: until it is disposed of nobody else gets their categories. */
export type ReservedLabels = ContainerLabels & Disposable;

export interface Labelling {
  /**
   * A container's labels by its words of `--security-opt label=…`, with categories of its own; `inUse` are the labels of
   * all containers. Throws `invalidArgument` in Docker's words.
   */
  choose(words: readonly string[], inUse: Iterable<string>): ReservedLabels;
  /**
   * Labels a mount's source as its mode asks for (`z` or `Z`); nothing for another one. Throws `invalidArgument` for a
   * directory of the system's own, and an EngineError when a label cannot be set.
   */
  relabelSource(source: string, mode: string, mountLabel: string): Promise<void>;
  /** Labels a file or directory of the daemon's own for a container, or for all of them. */
  relabelOwn(path: string, mountLabel: string, isShared: boolean): Promise<void>;
}

/** What labelling asks of the host; tests have another one. */
export interface SelinuxHost {
  readonly isSelinuxOn: () => boolean;
  readonly isKnownLabel: (label: string) => boolean;
  readonly relabel: typeof relabel;
  /** The text of a file; empty when it cannot be read. */
  readonly read: (path: string) => string;
}

const thisHost: SelinuxHost = { isSelinuxOn, isKnownLabel, relabel, read: readGently };

/** Undefined where SELinux is not asked for, and, with a warning, where the kernel has none or does not answer. */
export function openLabelling(isAskedFor: boolean, host = thisHost): Labelling | undefined {
  if (!isAskedFor) return undefined;
  if (!host.isSelinuxOn()) {
    log.warn("could not enable SELinux on the host system");
    return undefined;
  }
  let base: ReturnType<typeof containerContexts>;
  try {
    base = containerContexts(host);
  } catch (error) {
    log.warn("could not enable SELinux on the host system", { error: errorText(error) });
    return undefined;
  }
  if (base === undefined) log.warn("the SELinux policy says nothing for containers: they have no labels");
  const levels = new Set<string>();
  return {
    choose(words, inUse) {
      if (base === undefined) return { processLabel: "", mountLabel: "", [Symbol.dispose]() {} };
      const taken = new Set(levels);
      for (const label of inUse) taken.add(levelOf(label));
      const labels = chooseLabels(base, words, () => freshLevel((level) => taken.has(level)));
      for (const label of [labels.processLabel, labels.mountLabel])
        if (label !== "" && !host.isKnownLabel(label))
          throw invalidArgument(`the host's SELinux policy does not know the label ${label}`);
      const level = levelOf(labels.processLabel);
      levels.add(level);
      return { ...labels, [Symbol.dispose]: () => void levels.delete(level) };
    },
    async relabelSource(source, mode, mountLabel) {
      const kind = relabelling(mode);
      if (kind === undefined || mountLabel === "") return;
      const label = kind === "shared" ? sharedLabel(mountLabel) : mountLabel;
      await host.relabel(source, label, (place) => checkRelabel(place, process.env["HOME"]));
    },
    async relabelOwn(path, mountLabel, isShared) {
      if (mountLabel !== "") await host.relabel(path, isShared ? sharedLabel(mountLabel) : mountLabel);
    },
  };
}

/**
 * The labels that a container's runtime is to set. None on a kernel without SELinux, where runtimes and mounts refuse them:
 * a container that was made on another one has its labels still.
 */
export function labelsInUse(
  {
    processLabel = "",
    mountLabel = "",
    hostConfig,
  }: Pick<ContainerRecord, keyof ContainerLabels | "hostConfig">,
  isOn = isSelinuxOn,
): Partial<ContainerLabels> {
  if ((processLabel === "" && mountLabel === "") || !isOn()) return {};
  return {
    // One that is privileged has the daemon's.
    ...(processLabel !== "" && hostConfig.Privileged !== true && { processLabel }),
    ...(mountLabel !== "" && { mountLabel }),
  };
}

/** The mount option for a container's label; none where {@link labelsInUse} has none. */
export function mountContext(mountLabel = ""): string[] {
  return mountLabel !== "" && isSelinuxOn() ? contextOption(mountLabel) : [];
}

/** Read anew by each daemon: a policy may be installed meanwhile. */
function containerContexts(host: SelinuxHost): ReturnType<typeof parseContainerContexts> {
  const type = policyType(host.read("/etc/selinux/config"));
  const own = join("/etc/selinux", type, "contexts/lxc_contexts");
  // Where the package of the containers' policy (container-selinux) puts them.
  for (const path of ["/usr/share/containers/selinux/contexts", own]) {
    const found = parseContainerContexts(host.read(path));
    if (found === undefined) continue;
    const unknown = [found.process, found.file]
      .map(formatContext)
      .filter((label) => !host.isKnownLabel(label));
    if (unknown.length === 0) return found;
    // Debian 12's policy names types that it does not have.
    log.warn("the SELinux policy does not know its own labels for containers", { file: path, unknown });
  }
  return undefined;
}

function readGently(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
