import { parseInteger } from "../go-text.ts";
import { describeToken, lexTemplate, syntaxError, type Token, type TokenKind } from "./lexer.ts";
import type { CommandNode, Node, Operand, PipeNode } from "./nodes.ts";
import { unquote } from "./unquote.ts";

/** A template that was read: its own nodes, and those of the templates that it defines. */
export interface ParsedTemplate {
  readonly source: string;
  readonly nodes: readonly Node[];
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}

/**
 * Reads a template of Go's text/template. `isFunction` says which names are functions.
 *
 * Throws TemplateSyntaxError with Go's words.
 */
export function parseTemplate(source: string, isFunction: (name: string) => boolean): ParsedTemplate {
  const parser = new TemplateParser(source, isFunction);
  return parser.parse();
}

interface List {
  readonly nodes: Node[];
  /** The keyword that ended the list, `else` or `end`; undefined at the end of the source. */
  readonly endedBy: Token | undefined;
}

class TemplateParser {
  readonly #source: string;
  readonly #isFunction: (name: string) => boolean;
  readonly #tokens: readonly Token[];
  readonly #defined = new Map<string, readonly Node[]>();
  #index = 0;
  #variables: string[] = ["$"];
  #loops = 0;

  constructor(source: string, isFunction: (name: string) => boolean) {
    this.#source = source;
    this.#isFunction = isFunction;
    this.#tokens = lexTemplate(source);
  }

  parse(): ParsedTemplate {
    const { nodes, endedBy } = this.#list();
    if (endedBy !== undefined) throw this.#error(endedBy, `unexpected {{${endedBy.text}}}`);
    return { source: this.#source, nodes, defined: this.#defined };
  }

  #peek(): Token {
    return this.#tokens[this.#index]!;
  }

  #next(): Token {
    const token = this.#tokens[this.#index]!;
    if (token.kind !== "end") this.#index++;
    return token;
  }

  #skipSpace(): Token {
    while (this.#peek().kind === "space") this.#index++;
    return this.#peek();
  }

  #expect(kind: TokenKind, context: string): Token {
    this.#skipSpace();
    const token = this.#next();
    if (token.kind !== kind) throw this.#error(token, `unexpected ${describeToken(token)} in ${context}`);
    return token;
  }

  #error(token: Token, message: string): Error {
    return syntaxError(this.#source, token.position, message);
  }

  #list(): List {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#next();
      if (token.kind === "end") return { nodes, endedBy: undefined };
      if (token.kind === "text") {
        nodes.push({ kind: "text", text: token.text });
        continue;
      }
      const first = this.#skipSpace();
      if (first.kind === "keyword" && (first.text === "end" || first.text === "else")) {
        this.#next();
        return { nodes, endedBy: first };
      }
      const node = this.#action(first);
      if (node !== undefined) nodes.push(node);
    }
  }

  #action(first: Token): Node | undefined {
    if (first.kind !== "keyword") return { kind: "action", pipe: this.#pipeline("command", "rightDelim") };
    this.#next();
    switch (first.text) {
      case "if":
      case "range":
      case "with":
        return this.#branch(first.text, first);
      case "break":
      case "continue":
        if (this.#loops === 0) throw this.#error(first, `{{${first.text}}} outside {{range}}`);
        this.#expect("rightDelim", `{{${first.text}}}`);
        return { kind: first.text, position: first.position };
      case "define":
        this.#define(this.#templateName("define clause"), first);
        return undefined;
      case "block": {
        const { position } = this.#skipSpace();
        const name = this.#templateName("block clause");
        const pipe = this.#pipeline("block clause", "rightDelim");
        this.#body(name, first);
        return { kind: "template", position, name, pipe };
      }
      default:
        return this.#invocation();
    }
  }

  #invocation(): Node {
    const { position } = this.#skipSpace();
    const name = this.#templateName("template clause");
    const isBare = this.#skipSpace().kind === "rightDelim";
    if (isBare) this.#next();
    const pipe = isBare ? undefined : this.#pipeline("template clause", "rightDelim");
    return { kind: "template", position, name, pipe };
  }

  #templateName(context: string): string {
    const token = this.#skipSpace();
    if (token.kind !== "string" && token.kind !== "rawString") {
      throw this.#error(token, `unexpected ${describeToken(token)} in ${context}`);
    }
    return unquote(this.#next().text);
  }

  #define(name: string, first: Token): void {
    this.#expect("rightDelim", "define clause");
    this.#body(name, first);
  }

  #body(name: string, first: Token): void {
    const [variables, loops] = [this.#variables, this.#loops];
    this.#variables = ["$"];
    this.#loops = 0;
    const { nodes, endedBy } = this.#list();
    if (endedBy?.text !== "end") throw this.#error(first, "unexpected EOF");
    this.#expect("rightDelim", "end");
    this.#defined.set(name, nodes);
    this.#variables = variables;
    this.#loops = loops;
  }

  #branch(kind: "if" | "range" | "with", first: Token): Node {
    const depth = this.#variables.length;
    const pipe = this.#pipeline(kind, "rightDelim");
    if (kind === "range") this.#loops++;
    const body = this.#list();
    if (kind === "range") this.#loops--;
    let otherwise: readonly Node[] = [];
    if (body.endedBy === undefined) throw this.#error(this.#peek(), "unexpected EOF");
    if (body.endedBy.text === "else") otherwise = this.#otherwise(kind);
    else this.#expect("rightDelim", "end");
    this.#variables.length = depth;
    return { kind, position: first.position, pipe, body: body.nodes, otherwise };
  }

  #otherwise(kind: "if" | "range" | "with"): readonly Node[] {
    const next = this.#skipSpace();
    // `{{else if …}}` stands for an `if` of its own inside of the else, which the same `{{end}}` closes.
    if (next.kind === "keyword" && next.text === kind && kind !== "range") {
      this.#next();
      return [this.#branch(kind, next)];
    }
    this.#expect("rightDelim", "else");
    const { nodes, endedBy } = this.#list();
    if (endedBy === undefined) throw this.#error(this.#peek(), "unexpected EOF");
    if (endedBy.text !== "end") throw this.#error(endedBy, "expected end; found {{else}}");
    this.#expect("rightDelim", "end");
    return nodes;
  }

  #pipeline(context: string, end: "rightDelim" | "rightParen"): PipeNode {
    const start = this.#skipSpace();
    const { declared, assigns } = this.#declarations(context);
    const commands: CommandNode[] = [];
    for (;;) {
      const token = this.#skipSpace();
      if (token.kind === end) {
        this.#next();
        if (commands.length === 0) throw this.#error(token, `missing value for ${context}`);
        this.#checkPipeline(commands);
        this.#variables.push(...(assigns ? [] : declared));
        return { kind: "pipe", position: start.position, declared, assigns, commands };
      }
      commands.push(this.#command(context, end));
    }
  }

  #checkPipeline(commands: readonly CommandNode[]): void {
    for (const [index, command] of commands.entries()) {
      const first = command.args[0]!;
      const isConstant = ["bool", "dot", "nil", "number", "string"].includes(first.kind);
      if (index > 0 && isConstant) {
        throw syntaxError(
          this.#source,
          first.position,
          `non executable command in pipeline stage ${index + 1}`,
        );
      }
    }
  }

  #declarations(context: string): { declared: string[]; assigns: boolean } {
    const start = this.#index;
    const declared: string[] = [];
    for (;;) {
      const variable = this.#skipSpace();
      if (variable.kind !== "variable") break;
      this.#next();
      const operator = this.#skipSpace();
      declared.push(variable.text);
      if (operator.kind === "declare" || operator.kind === "assign") {
        this.#next();
        const assigns = operator.kind === "assign";
        if (assigns) for (const name of declared) this.#checkVariable(name, variable);
        return { declared, assigns };
      }
      if (operator.kind !== "comma" || context !== "range" || declared.length > 1) break;
      this.#next();
    }
    this.#index = start;
    return { declared: [], assigns: false };
  }

  #checkVariable(name: string, token: Token): void {
    if (!this.#variables.includes(name)) throw this.#error(token, `undefined variable "${name}"`);
  }

  #command(context: string, end: TokenKind): CommandNode {
    const start = this.#peek();
    const args: Operand[] = [];
    for (;;) {
      const token = this.#skipSpace();
      if (token.kind === end) break;
      if (token.kind === "pipe") {
        this.#next();
        break;
      }
      args.push(this.#operand(context));
      const after = this.#peek();
      const isSeparated = ["space", "pipe", end].includes(after.kind);
      if (!isSeparated) throw this.#error(after, `unexpected ${describeToken(after)} in operand`);
    }
    if (args.length === 0) throw this.#error(start, "empty command");
    return { kind: "command", position: start.position, args };
  }

  #operand(context: string): Operand {
    const base = this.#term(context);
    const first = this.#peek();
    if (first.kind !== "field") return base;
    const names: string[] = [];
    while (this.#peek().kind === "field") names.push(this.#next().text.slice(1));
    // Go reports the position of the first field behind the base, which error messages show.
    const { position } = first;
    switch (base.kind) {
      case "field":
        return { kind: "field", position, names: [...base.names, ...names] };
      case "variable":
        return { kind: "variable", position, name: base.name, names: [...base.names, ...names] };
      case "bool":
      case "string":
      case "number":
      case "nil":
      case "dot":
        throw this.#error(
          first,
          `unexpected . after term "${base.kind === "dot" ? "." : describeTerm(base)}"`,
        );
      default:
        return { kind: "chain", position, base, names };
    }
  }

  #term(context: string): Operand {
    const token = this.#next();
    const { position, text } = token;
    switch (token.kind) {
      case "identifier":
        if (!this.#isFunction(text)) throw this.#error(token, `function "${text}" not defined`);
        return { kind: "identifier", position, name: text };
      case "dot":
        return { kind: "dot", position };
      case "nil":
        return { kind: "nil", position };
      case "variable":
        this.#checkVariable(text, token);
        return { kind: "variable", position, name: text, names: [] };
      case "field":
        return { kind: "field", position, names: [text.slice(1)] };
      case "bool":
        return { kind: "bool", position, value: text === "true" };
      case "char":
        return { kind: "number", position, value: unquote(text).codePointAt(0)!, text };
      case "number":
        return { kind: "number", position, value: this.#number(token), text };
      case "string":
      case "rawString":
        return { kind: "string", position, value: this.#string(token), text };
      case "leftParen":
        return this.#pipeline("parenthesized pipeline", "rightParen");
      default:
        throw this.#error(token, `unexpected ${describeToken(token)} in ${context}`);
    }
  }

  #string(token: Token): string {
    try {
      return unquote(token.text);
    } catch {
      throw this.#error(token, "invalid syntax");
    }
  }

  #number(token: Token): number {
    try {
      return parseInteger(token.text);
    } catch {
      const value = Number(token.text.replaceAll("_", ""));
      if (Number.isNaN(value)) throw this.#error(token, `bad number syntax: "${token.text}"`);
      return value;
    }
  }
}

function describeTerm(term: Operand): string {
  return "text" in term ? term.text : term.kind;
}
