import { CliError } from "../errors.ts";
import { TemplateExecutionError } from "../../base/template/execute.ts";
import { TemplateSyntaxError } from "../../base/template/lexer.ts";
import { Template } from "../../base/template/template.ts";
import { mapsFromJson, structsFromJson } from "../../base/template/values.ts";
import { containerShape, inspectShape } from "./inspect-shape.ts";
import { unescapeBlanks } from "./table.ts";

/** Prints what was found; made before anything is asked for, so that a bad template costs no request. */
export interface InspectPrinter {
  /** The text for all objects, line feed and all. Throws {@link CliError} when a template fails over one. */
  print(objects: readonly unknown[]): string;
}

/** A printer for `--format`: empty means indented JSON in an array, `json` the same on one line. */
export function inspectPrinter(format: string): InspectPrinter {
  if (format === "") return { print: (objects) => `${indentedJson(objects)}\n` };
  if (format === "json") return { print: (objects) => `${JSON.stringify(objects)}\n` };
  let template: Template;
  try {
    template = new Template(unescapeBlanks(format));
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError)) throw error;
    throw new CliError(`template parsing error: ${error.message}`, 64, { cause: error });
  }
  // For nothing at all Docker ends an empty line.
  return {
    print: (objects) => objects.map((object) => `${applyTemplate(template, object)}\n`).join("") || "\n",
  };
}

/** JSON with four spaces, and empty arrays and objects on one line as Go writes them. */
function indentedJson(value: unknown): string {
  return JSON.stringify(value, undefined, 4);
}

/** Runs a template over an object of the API: first with Go's types for it, then as plain JSON, as Docker does. */
function applyTemplate(template: Template, object: unknown): string {
  try {
    const isContainer = typeof object === "object" && object !== null && "HostConfig" in object;
    return template.execute(structsFromJson(object, isContainer ? containerShape : inspectShape));
  } catch (error) {
    if (!(error instanceof TemplateExecutionError)) throw error;
  }
  try {
    return template.execute(mapsFromJson(object), { missingKeyIsError: true });
  } catch (error) {
    if (!(error instanceof TemplateExecutionError)) throw error;
    throw new CliError(`template parsing error: ${error.message}`, 1, { cause: error });
  }
}
