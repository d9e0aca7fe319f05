import { errorText } from "../errors.ts";
import { goQuote } from "../go-text.ts";
import { formatValue } from "./format.ts";
import { templateFunctions, type TemplateFunction } from "./functions.ts";
import { showNode, type CommandNode, type Node, type Operand, type PipeNode } from "./nodes.ts";
import type { ParsedTemplate } from "./parse.ts";
import { GoStruct, isList, isMap, isTrue, sortedKeys, typeName, type GoValue } from "./values.ts";

/** A template that failed over its data; `message` is text/template's. */
export class TemplateExecutionError extends Error {
  override readonly name = "TemplateExecutionError";
}

export interface ExecuteOptions {
  readonly functions?: Readonly<Record<string, TemplateFunction>>;
  /** A key that a map has not is an error, instead of `<no value>`. */
  readonly missingKeyIsError?: boolean;
}

/** Runs a template over `data` and returns its output. Throws {@link TemplateExecutionError}. */
export function executeTemplate(
  template: ParsedTemplate,
  data: GoValue,
  options: ExecuteOptions = {},
): string {
  const run = new Run(template, options, { depth: 0, name: "" });
  run.walk(template.nodes, data, [{ name: "$", value: data }]);
  return run.output;
}

interface Variable {
  readonly name: string;
  value: GoValue;
}

/** Functions that take neither more nor fewer arguments than they name. */
const fixedFunctions = new Set(
  "json split join title lower upper pad truncate len ne lt le gt ge".split(" "),
);

type Flow = "break" | "continue" | undefined;

/** Recursion of templates stops here, as in Go. */
const maxDepth = 1000;

class Run {
  output = "";
  readonly #template: ParsedTemplate;
  readonly #options: ExecuteOptions;
  readonly #functions: Readonly<Record<string, TemplateFunction>>;
  readonly #place: { readonly depth: number; readonly name: string };

  constructor(template: ParsedTemplate, options: ExecuteOptions, place: { depth: number; name: string }) {
    this.#template = template;
    this.#options = options;
    this.#functions = options.functions ?? templateFunctions;
    this.#place = place;
  }

  walk(nodes: readonly Node[], dot: GoValue, variables: Variable[]): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot, variables);
      if (flow !== undefined) return flow;
    }
    return undefined;
  }

  #node(node: Node, dot: GoValue, variables: Variable[]): Flow {
    switch (node.kind) {
      case "text":
        this.output += node.text;
        return undefined;
      case "action": {
        const value = this.#pipe(node.pipe, dot, variables);
        if (node.pipe.declared.length === 0) this.output += this.#printed(value, node.pipe);
        return undefined;
      }
      case "if":
      case "with": {
        const inner = [...variables];
        const value = this.#pipe(node.pipe, dot, inner);
        if (!isTrue(value)) return this.walk(node.otherwise, dot, inner);
        return this.walk(node.body, node.kind === "with" ? value : dot, inner);
      }
      case "range":
        return this.#range(node.pipe, { node, dot, variables });
      case "template":
        this.#invoke(node.name, node, { dot, variables });
        return undefined;
      default:
        return node.kind;
    }
  }

  #printed(value: GoValue, pipe: PipeNode): string {
    if (typeof value === "function") throw this.#error(pipe.commands[0]!, "can't print func()");
    return formatValue(value);
  }

  #invoke(
    name: string,
    node: { readonly position: number; readonly pipe: PipeNode | undefined },
    scope: { dot: GoValue; variables: Variable[] },
  ): void {
    const nodes = this.#template.defined.get(name);
    const at = { kind: "nil", position: node.position } as const;
    if (nodes === undefined)
      throw this.#error(at, `template ${goQuote(name)} not defined`, `{{template ${goQuote(name)}}}`);
    if (this.#place.depth >= maxDepth) throw this.#error(at, `exceeded maximum template depth (${maxDepth})`);
    const dot = node.pipe === undefined ? undefined : this.#pipe(node.pipe, scope.dot, scope.variables);
    const run = new Run(this.#template, this.#options, { depth: this.#place.depth + 1, name });
    run.walk(nodes, dot, [{ name: "$", value: dot }]);
    this.output += run.output;
  }

  #range(
    pipe: PipeNode,
    scope: { node: Extract<Node, { kind: "range" | "if" | "with" }>; dot: GoValue; variables: Variable[] },
  ): Flow {
    const value = this.#pipe({ ...pipe, declared: [] }, scope.dot, scope.variables);
    const entries = this.#entries(value, pipe);
    if (entries.length === 0) return this.walk(scope.node.otherwise, scope.dot, [...scope.variables]);
    for (const [key, item] of entries) {
      const inner = [...scope.variables];
      const values = pipe.declared.length === 1 ? [item] : [key, item];
      for (const [index, name] of pipe.declared.entries()) {
        if (pipe.assigns) this.#assign(name, values[index], inner);
        else inner.push({ name, value: values[index] });
      }
      if (this.walk(scope.node.body, item, inner) === "break") break;
    }
    return undefined;
  }

  #entries(value: GoValue, pipe: PipeNode): [GoValue, GoValue][] {
    if (value === undefined || value === null) return [];
    if (isList(value)) return value.map((item, index) => [index, item]);
    if (isMap(value)) return sortedKeys(value).map((key) => [key, value.get(key)]);
    if (typeof value === "number" && Number.isInteger(value)) {
      return Array.from({ length: Math.max(0, value) }, (_, index) => [index, index]);
    }
    throw this.#error(pipe, `range can't iterate over ${formatValue(value)}`);
  }

  #pipe(pipe: PipeNode, dot: GoValue, variables: Variable[]): GoValue {
    let value: GoValue;
    for (const [index, command] of pipe.commands.entries()) {
      value = this.#command(command, { dot, variables, final: index === 0 ? undefined : { value } });
    }
    for (const name of pipe.declared) {
      if (pipe.assigns) this.#assign(name, value, variables);
      else variables.push({ name, value });
    }
    return value;
  }

  #assign(name: string, value: GoValue, variables: Variable[]): void {
    const variable = variables.findLast((candidate) => candidate.name === name);
    if (variable !== undefined) variable.value = value;
  }

  #command(
    command: CommandNode,
    scope: { dot: GoValue; variables: Variable[]; final: { value: GoValue } | undefined },
  ): GoValue {
    const [first, ...rest] = command.args as [Operand, ...Operand[]];
    const { dot, variables, final } = scope;
    const args = (): GoValue[] => {
      const values = rest.map((operand) => this.#operand(operand, dot, variables));
      return final === undefined ? values : [...values, final.value];
    };
    const hasArguments = rest.length > 0 || final !== undefined;
    switch (first.kind) {
      case "identifier":
        if (first.name === "and" || first.name === "or") return this.#shortCircuit(first.name, rest, scope);
        return this.#call(first, args(), command);
      case "field":
        return this.#fields(dot, first, hasArguments ? args() : undefined);
      case "chain":
        return this.#fields(
          this.#operand(first.base, dot, variables),
          first,
          hasArguments ? args() : undefined,
        );
      case "variable":
        return this.#fields(this.#variable(first.name, variables), first, hasArguments ? args() : undefined);
      case "nil":
        throw this.#error(command, "nil is not a command");
      default:
        if (hasArguments) throw this.#error(first, `can't give argument to non-function ${showNode(first)}`);
        return this.#operand(first, dot, variables);
    }
  }

  #shortCircuit(
    name: "and" | "or",
    operands: readonly Operand[],
    scope: { dot: GoValue; variables: Variable[]; final: { value: GoValue } | undefined },
  ): GoValue {
    let value: GoValue;
    for (const operand of operands) {
      value = this.#operand(operand, scope.dot, scope.variables);
      if (isTrue(value) === (name === "or")) return value;
    }
    return scope.final === undefined ? value : scope.final.value;
  }

  #call(callee: Extract<Operand, { kind: "identifier" }>, args: GoValue[], command: CommandNode): GoValue {
    if (callee.name === "not") return !isTrue(args[0]);
    const implementation = this.#functions[callee.name]!;
    // The length of a function with optional or rest parameters counts the needed ones only.
    const wanted = implementation.length;
    const isFixed = fixedFunctions.has(callee.name);
    if (isFixed && args.length !== wanted) {
      throw this.#error(callee, `wrong number of args for ${callee.name}: want ${wanted} got ${args.length}`);
    }
    if (args.length < wanted) {
      throw this.#error(
        callee,
        `wrong number of args for ${callee.name}: want at least ${wanted} got ${args.length}`,
      );
    }
    try {
      return implementation(...args);
    } catch (error) {
      if (error instanceof TemplateExecutionError) throw error;
      const why = errorText(error);
      throw this.#error(callee, `error calling ${callee.name}: ${why}`, showNode(command));
    }
  }

  #operand(operand: Operand, dot: GoValue, variables: Variable[]): GoValue {
    switch (operand.kind) {
      case "dot":
        return dot;
      case "nil":
        return null;
      case "bool":
      case "number":
      case "string":
        return operand.value;
      case "field":
        return this.#fields(dot, operand, undefined);
      case "variable":
        return this.#fields(this.#variable(operand.name, variables), operand, undefined);
      case "pipe":
        return this.#pipe(operand, dot, [...variables]);
      case "chain":
        return this.#fields(this.#operand(operand.base, dot, variables), operand, undefined);
      default:
        return this.#call(operand, [], { kind: "command", position: operand.position, args: [operand] });
    }
  }

  #variable(name: string, variables: readonly Variable[]): GoValue {
    return variables.findLast((variable) => variable.name === name)?.value;
  }

  /** Follows a chain of fields; arguments go to the last one, which must be a method then. */
  #fields(
    base: GoValue,
    node: Operand & { readonly names: readonly string[] },
    args: readonly GoValue[] | undefined,
  ): GoValue {
    let value = base;
    for (const [index, name] of node.names.entries()) {
      const isLast = index === node.names.length - 1;
      value = this.#field(value, name, { node, args: isLast ? args : undefined });
    }
    if (args !== undefined && node.names.length === 0) {
      throw this.#error(node, `can't give argument to non-function ${showNode(node)}`);
    }
    return value;
  }

  #field(
    receiver: GoValue,
    name: string,
    { node, args }: { node: Operand; args: readonly GoValue[] | undefined },
  ): GoValue {
    if (receiver === undefined) {
      if (this.#options.missingKeyIsError === true)
        throw this.#error(node, `nil data; no entry for key ${goQuote(name)}`);
      return undefined;
    }
    if (receiver === null) throw this.#error(node, `nil pointer evaluating interface {}.${name}`);
    const found = lookUp(receiver, name);
    if (typeof found?.value === "function") return this.#method(found.value, name, { node, args });
    if (args !== undefined && found !== undefined) {
      throw this.#error(node, `${name} has arguments but cannot be invoked as function`);
    }
    if (found !== undefined) return found.value;
    if (!isMap(receiver))
      throw this.#error(node, `can't evaluate field ${name} in type ${typeName(receiver)}`);
    if (this.#options.missingKeyIsError === true)
      throw this.#error(node, `map has no entry for key ${goQuote(name)}`);
    return undefined;
  }

  #method(
    method: (...args: GoValue[]) => GoValue,
    name: string,
    { node, args }: { node: Operand; args: readonly GoValue[] | undefined },
  ): GoValue {
    const count = args?.length ?? 0;
    if (count !== method.length) {
      throw this.#error(node, `wrong number of args for ${name}: want ${method.length} got ${count}`);
    }
    return method(...(args ?? []));
  }

  /** Go's words for a failure: where, in which template, at which node, and why. */
  #error(node: Operand | CommandNode, message: string, shown = showNode(node)): TemplateExecutionError {
    const before = this.#template.source.slice(0, node.position);
    const lineStart = before.lastIndexOf("\n") + 1;
    const line = before.split("\n").length;
    const column = Buffer.byteLength(before.slice(lineStart));
    const name = goQuote(this.#place.name);
    return new TemplateExecutionError(
      `template: :${line}:${column}: executing ${name} at <${shown}>: ${message}`,
    );
  }
}

/** A field, key or method of that name. */
function lookUp(receiver: GoValue, name: string): { value: GoValue } | undefined {
  if (receiver instanceof GoStruct) {
    if (Object.hasOwn(receiver.fields, name)) return { value: receiver.fields[name] };
    return Object.hasOwn(receiver.zeros, name) ? { value: receiver.zeros[name] } : undefined;
  }
  if (!isMap(receiver)) return undefined;
  return receiver.has(name) ? { value: receiver.get(name) } : undefined;
}
