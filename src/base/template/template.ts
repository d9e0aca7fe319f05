import { executeTemplate, type ExecuteOptions } from "./execute.ts";
import { isFunctionName } from "./functions.ts";
import { parseTemplate, type ParsedTemplate } from "./parse.ts";
import type { GoValue } from "./values.ts";

/**
 * A template of Go's text/template with the functions of Docker's `--format`.
 *
 * The language is the one of https://pkg.go.dev/text/template; where data has no Go type (`int` against `uint`), the
 * value decides.
 */
export class Template {
  readonly #parsed: ParsedTemplate;

  /** Throws TemplateSyntaxError. */
  constructor(source: string) {
    this.#parsed = parseTemplate(source, isFunctionName);
  }

  /** The output over `data`. Throws TemplateExecutionError. */
  execute(data: GoValue, options?: ExecuteOptions): string {
    return executeTemplate(this.#parsed, data, options);
  }
}
