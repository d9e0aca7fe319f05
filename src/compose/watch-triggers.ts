/** What `develop.watch` says: which changes mean what. Knows files and settings, and no containers. */
import { existsSync } from "node:fs";
import { basename, posix, relative } from "node:path";
import { PathPatterns } from "../base/path-patterns.ts";
import { ignoreOf } from "./build-context.ts";
import { ComposeError } from "./errors.ts";
import { namesOf, type Project, type Service, type WatchTrigger } from "./model/project.ts";

type Ignore = Pick<PathPatterns, "matches" | "mayExceptBelow">;

/** A rule of a service. */
export interface Trigger {
  readonly service: string;
  readonly rule: WatchTrigger;
  readonly ignore: Ignore;
  readonly include: PathPatterns | undefined;
}

/** What editors and git write beside one's files. */
const alwaysIgnored = [".git/", "**/*~", "**/.*.swp", "**/4913"];

/**
 * The rules of a project that can be followed: not those of a path that is not there, or that a bind mount shows in the
 * container anyway. Throws {@link ComposeError} when none is left, and for a rebuild of what is not built.
 */
export function watchTriggers(project: Project, warn: (message: string) => void): Trigger[] {
  const triggers = namesOf(project.services).flatMap((name) => {
    const service = project.services[name]!;
    const rules = service.develop?.watch ?? [];
    if (service.build === undefined && rules.some(({ action }) => action === "rebuild")) {
      throw new ComposeError(`can't watch service "${name}" with action rebuild without a build context`);
    }
    return rules
      .filter((rule) => canFollow(service, rule, warn))
      .map((rule): Trigger => ({
        service: name,
        rule,
        ignore: ignoredOf(service, rule),
        include: rule.include === undefined ? undefined : new PathPatterns(rule.include),
      }));
  });
  if (triggers.length > 0) return triggers;
  throw new ComposeError(
    "none of the selected services is configured for watch, consider setting a 'develop' section",
  );
}

function canFollow(service: Service, { path }: WatchTrigger, warn: (message: string) => void): boolean {
  if (!existsSync(path)) {
    warn(`path '${path}' is not there, and is not watched`);
    return false;
  }
  const isMounted = (service.volumes ?? []).some(
    ({ type, source }) => type === "bind" && source !== undefined && isBelow(source, path),
  );
  if (isMounted) warn(`path '${path}' also declared by a bind mount volume, this path won't be monitored!`);
  return !isMounted;
}

function isBelow(directory: string, path: string): boolean {
  const inner = relative(directory, path);
  return inner !== ".." && !inner.startsWith("../");
}

/** The rule's own patterns, and those of the build's context. */
function ignoredOf({ build }: Service, rule: WatchTrigger): Ignore {
  const own = new PathPatterns([...(rule.ignore ?? []), ...alwaysIgnored]);
  if (build === undefined || !existsSync(build.context)) return own;
  const context = ignoreOf(build.context, build.dockerfile ?? "Dockerfile");
  const below = relative(build.context, rule.path);
  const inContext = (path: string): string | undefined => {
    const joined = posix.join(below, path);
    return joined.startsWith("..") ? undefined : joined;
  };
  return {
    matches(path) {
      const there = inContext(path);
      return own.matches(path) || (there !== undefined && context.matches(there));
    },
    mayExceptBelow(path) {
      const there = inContext(path);
      const isOwn = own.matches(path);
      if (isOwn && !own.mayExceptBelow(path)) return false;
      return there === undefined || !context.matches(there) || context.mayExceptBelow(there);
    },
  };
}

/** Whether a changed file means something to a rule. */
export function isWanted(trigger: Trigger, file: string): boolean {
  const { path } = trigger.rule;
  if (!isBelow(path, file)) return false;
  const inner = relative(path, file);
  return inner === "" || isWantedInside(trigger, inner, false);
}

/** Whether a path below a rule's is to be copied with the directory that it is in. */
export function isWantedInside({ ignore, include }: Trigger, inner: string, isDirectory: boolean): boolean {
  if (ignore.matches(inner)) return isDirectory && ignore.mayExceptBelow(inner);
  return isDirectory || include === undefined || include.matches(inner) || include.matches(basename(inner));
}
