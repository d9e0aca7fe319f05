/** The syntax tree of a template. Positions are offsets in the source. */
export type Node =
  | TextNode
  | ActionNode
  | BranchNode
  | TemplateNode
  | { readonly kind: "break" | "continue"; readonly position: number };

export interface TextNode {
  readonly kind: "text";
  readonly text: string;
}

export interface ActionNode {
  readonly kind: "action";
  readonly pipe: PipeNode;
}

export interface BranchNode {
  readonly kind: "if" | "range" | "with";
  readonly position: number;
  readonly pipe: PipeNode;
  readonly body: readonly Node[];
  readonly otherwise: readonly Node[];
}

export interface TemplateNode {
  readonly kind: "template";
  readonly position: number;
  readonly name: string;
  readonly pipe: PipeNode | undefined;
}

export interface PipeNode {
  readonly kind: "pipe";
  readonly position: number;
  /** Variables that the pipeline's value goes to, with their dollar signs. */
  readonly declared: readonly string[];
  /** `=` instead of `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly CommandNode[];
}

export interface CommandNode {
  readonly kind: "command";
  readonly position: number;
  readonly args: readonly Operand[];
}

export type Operand =
  | PipeNode
  | { readonly kind: "dot" | "nil"; readonly position: number }
  | { readonly kind: "bool"; readonly position: number; readonly value: boolean }
  | { readonly kind: "number"; readonly position: number; readonly value: number; readonly text: string }
  | { readonly kind: "string"; readonly position: number; readonly value: string; readonly text: string }
  | { readonly kind: "identifier"; readonly position: number; readonly name: string }
  | { readonly kind: "field"; readonly position: number; readonly names: readonly string[] }
  | {
      readonly kind: "variable";
      readonly position: number;
      readonly name: string;
      readonly names: readonly string[];
    }
  | {
      readonly kind: "chain";
      readonly position: number;
      readonly base: Operand;
      readonly names: readonly string[];
    };

/** A node as Go's parse tree writes it, for error messages. */
export function showNode(node: Operand | CommandNode): string {
  switch (node.kind) {
    case "pipe": {
      const declared =
        node.declared.length === 0 ? "" : `${node.declared.join(", ")} ${node.assigns ? "=" : ":="} `;
      return declared + node.commands.map(showNode).join(" | ");
    }
    case "command":
      return node.args.map((arg) => (arg.kind === "pipe" ? `(${showNode(arg)})` : showNode(arg))).join(" ");
    case "dot":
      return ".";
    case "nil":
      return "nil";
    case "bool":
      return String(node.value);
    case "number":
    case "string":
      return node.text;
    case "identifier":
      return node.name;
    case "field":
      return node.names.map((name) => `.${name}`).join("");
    case "variable":
      return [node.name, ...node.names].join(".");
    case "chain": {
      const base = node.base.kind === "pipe" ? `(${showNode(node.base)})` : showNode(node.base);
      return base + node.names.map((name) => `.${name}`).join("");
    }
  }
}
