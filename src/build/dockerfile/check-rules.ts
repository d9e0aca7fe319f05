/**
 * BuildKit's build checks by name, with their words (its documentation, "Build checks"; clients and `# check=skip=…` know
 * them by these).
 */
import { invalidArgument } from "../../base/errors.ts";
import type { CheckWarning, SourceRange } from "./ast.ts";
import { parseBoolean } from "./values.ts";

interface Rule {
  readonly description: string;
  /** Last part of its page's address; none for a rule without a page. */
  readonly page?: string;
  /** Runs only when `experimental=` asks for it. */
  readonly experimental?: boolean;
}

const rules = {
  StageNameCasing: { description: "Stage names should be lowercase", page: "stage-name-casing" },
  FromAsCasing: {
    description: "The 'as' keyword should match the case of the 'from' keyword",
    page: "from-as-casing",
  },
  NoEmptyContinuation: {
    description: "Empty continuation lines will become errors in a future release",
    page: "no-empty-continuation",
  },
  ConsistentInstructionCasing: {
    description: "All commands within the Dockerfile should use the same casing (either upper or lower)",
    page: "consistent-instruction-casing",
  },
  DuplicateStageName: { description: "Stage names should be unique", page: "duplicate-stage-name" },
  ReservedStageName: {
    description: "Reserved words should not be used as stage names",
    page: "reserved-stage-name",
  },
  JSONArgsRecommended: {
    description:
      "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    page: "json-args-recommended",
  },
  MaintainerDeprecated: {
    description: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    page: "maintainer-deprecated",
  },
  UndefinedArgInFrom: { description: "FROM command must use declared ARGs", page: "undefined-arg-in-from" },
  WorkdirRelativePath: {
    description:
      "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    page: "workdir-relative-path",
  },
  UndefinedVar: { description: "Variables should be defined before their use", page: "undefined-var" },
  MultipleInstructionsDisallowed: {
    description: "Multiple instructions of the same type should not be used in the same stage",
    page: "multiple-instructions-disallowed",
  },
  LegacyKeyValueFormat: {
    description: "Legacy key/value format with whitespace separator should not be used",
    page: "legacy-key-value-format",
  },
  InvalidBaseImagePlatform: {
    description: "Base image platform does not match expected target platform",
  },
  RedundantTargetPlatform: {
    description:
      "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    page: "redundant-target-platform",
  },
  SecretsUsedInArgOrEnv: {
    description: "Sensitive data should not be used in the ARG or ENV commands",
    page: "secrets-used-in-arg-or-env",
  },
  InvalidDefaultArgInFrom: {
    description: "Default value for global ARG results in an empty or invalid base image name",
    page: "invalid-default-arg-in-from",
  },
  FromPlatformFlagConstDisallowed: {
    description: "FROM --platform flag should not use a constant value",
    page: "from-platform-flag-const-disallowed",
  },
  CopyIgnoredFile: {
    description: "Attempting to Copy file that is excluded by .dockerignore",
    page: "copy-ignored-file",
  },
  InvalidDefinitionDescription: {
    description:
      "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    page: "invalid-definition-description",
    experimental: true,
  },
  ExposeProtoCasing: {
    description: "Protocol in EXPOSE instruction should be lowercase",
    page: "expose-proto-casing",
  },
  ExposeInvalidFormat: {
    description:
      "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    page: "expose-invalid-format",
  },
} as const satisfies Readonly<Record<string, Rule>>;

export type RuleName = keyof typeof rules;

/** Which rules are told, as `# check=` or `--build-arg BUILDKIT_DOCKERFILE_CHECK=` says. */
export interface CheckConfig {
  readonly skip: ReadonlySet<string> | "all";
  readonly experimental: ReadonlySet<string> | "all";
  /** A finding fails the build. */
  readonly error: boolean;
}

/** `skip=RuleA,RuleB;error=true;experimental=all`. Throws `invalidArgument`. */
export function parseCheckConfig(text: string): CheckConfig {
  let skip: CheckConfig["skip"] = new Set();
  let experimental: CheckConfig["experimental"] = new Set();
  let error = false;
  const list = (value: string): ReadonlySet<string> | "all" =>
    value.trim() === "all" ? "all" : new Set(value.split(",").map((rule) => rule.trim()));
  for (const part of text.trim() === "" ? [] : text.trim().split(";")) {
    const at = part.indexOf("=");
    if (at === -1) throw invalidArgument(`invalid check option ${JSON.stringify(part)}`);
    const key = part.slice(0, at).trim();
    const value = part.slice(at + 1);
    if (key === "skip") skip = list(value);
    else if (key === "experimental") experimental = list(value);
    else if (key === "error") {
      const parsed = parseBoolean(value.trim());
      if (parsed === undefined)
        throw invalidArgument(
          `failed to parse check option ${JSON.stringify(part)}: it must be true or false`,
        );
      error = parsed;
    } else throw invalidArgument(`invalid check option ${JSON.stringify(key)}`);
  }
  return { skip, experimental, error };
}

/** Collects what the rules find. */
export class Findings {
  readonly warnings: CheckWarning[] = [];
  readonly #config: CheckConfig;

  constructor(config: CheckConfig) {
    this.#config = config;
  }

  /** `comments` are those above the instruction: a `check=skip=…` in them counts for it alone. */
  add(
    rule: RuleName,
    message: string,
    where: { readonly range: SourceRange; readonly comments?: readonly string[] },
  ): void {
    const { description, page, experimental }: Rule = rules[rule];
    const configs = [this.#config, ...commentConfigs(where.comments ?? [])];
    const named = (list: CheckConfig["skip"]): boolean => list === "all" || list.has(rule);
    if (experimental === true) {
      if (!configs.some((config) => named(config.experimental))) return;
    } else if (configs.some((config) => named(config.skip))) return;
    this.warnings.push({
      rule,
      description,
      url: page === undefined ? "" : `https://docs.docker.com/go/dockerfile/rule/${page}/`,
      message,
      range: where.range,
    });
  }

  get isStrict(): boolean {
    return this.#config.error;
  }

  /** BuildKit's words for a build that findings fail; undefined when they do not. */
  get failure(): string | undefined {
    if (!this.#config.error || this.warnings.length === 0) return undefined;
    const names = [...new Set(this.warnings.map(({ rule }) => rule))].sort();
    return `lint violation found for rules: ${names.join(", ")}`;
  }
}

function commentConfigs(comments: readonly string[]): CheckConfig[] {
  for (const comment of comments) {
    const [, value = ""] = /^check\s*=\s*(\S+)/i.exec(comment) ?? [];
    if (value === "") continue;
    try {
      return [parseCheckConfig(value)];
    } catch {
      // A comment that only looks like an option.
      return [];
    }
  }
  return [];
}
