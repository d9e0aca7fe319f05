import { CliError } from "../errors.ts";
import { TemplateExecutionError, type ExecuteOptions } from "../../base/template/execute.ts";
import { headerFunctions } from "../../base/template/functions.ts";
import { TemplateSyntaxError } from "../../base/template/lexer.ts";
import { Template } from "../../base/template/template.ts";
import { GoStruct, type GoMethod, type GoValue } from "../../base/template/values.ts";
import { alignTabs } from "./tab-writer.ts";

/** What can be listed: a row's fields for templates, and the columns' titles. */
export interface Listing<Row> {
  /** Docker's name of the row's type, which templates' error messages show. */
  readonly typeName: string;
  /** Titles of the columns by field. */
  readonly headers: Readonly<Record<string, string>>;
  /** Fields without arguments; computed when a template asks. */
  fields(row: Row): Readonly<Record<string, () => GoValue>>;
  /** Methods with arguments, such as `Label`; not part of a row's JSON. */
  methods?(row: Row): Readonly<Record<string, GoMethod>>;
  /** Methods of the header, by the same names. */
  readonly headerMethods?: Readonly<Record<string, GoMethod>>;
}

/**
 * Renders rows by a format of Docker's: `table TEMPLATE`, `json` (an object a line) or a template for each row.
 *
 * Throws {@link CliError} for a template that is wrong.
 */
export function renderListing<Row>(listing: Listing<Row>, rows: readonly Row[], format: string): string {
  const isTable = /^table(\s|$)/.test(format);
  const body = isTable ? format.slice("table".length).trim() : format.replace(/^ +| +$/g, "");
  const source = unescapeBlanks(body === "json" ? "{{json .}}" : body);
  const template = compile(source);
  const lines = rows.map((row) => execute(template, rowStruct(listing, row)));
  if (!isTable) return lines.map((line) => `${line}\n`).join("");
  const header = execute(template, headerOf(listing), { functions: headerFunctions });
  return alignTabs([header, ...lines].map((line) => `${line}\n`).join(""));
}

/** Runs a template. Throws {@link CliError} with Docker's words. */
export function execute(template: Template, data: GoValue, options?: ExecuteOptions): string {
  try {
    return template.execute(data, options);
  } catch (error) {
    if (!(error instanceof TemplateExecutionError)) throw error;
    throw new CliError(`template parsing error: ${error.message}`, 1, { cause: error });
  }
}

/** `EX_USAGE` of sysexits.h: how some of Docker's commands end for a template that cannot be read. */
export const exitBadFormat = 64;

/** Reads a template. Throws {@link CliError} with Docker's words. */
export function compile(source: string, exitCode = 1): Template {
  try {
    return new Template(source);
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError)) throw error;
    throw new CliError(`template parsing error: ${error.message}`, exitCode, { cause: error });
  }
}

/** `\t` and `\n` typed as two characters in a shell stand for what they mean. */
export function unescapeBlanks(format: string): string {
  return format.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
}

/** A row as templates see it. */
export function rowStruct<Row>(listing: Listing<Row>, row: Row): GoStruct {
  const sorted = Object.entries(listing.fields(row)).sort(([a], [b]) => (a < b ? -1 : 1));
  return new GoStruct(listing.typeName, Object.fromEntries(sorted), listing.methods?.(row));
}

function headerOf<Row>(listing: Listing<Row>): GoValue {
  const methods = Object.entries(listing.headerMethods ?? {});
  return new Map<string, GoValue>([...Object.entries(listing.headers), ...methods]);
}
