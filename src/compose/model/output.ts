/** Projects as text: `config` in YAML or JSON. */
import type { Tree, TreeMap } from "../tree.ts";
import { extensions, type Decoded } from "./decode.ts";
import { projectShape } from "./project-shape.ts";
import type { FileObject, Project } from "./project.ts";
import { indentJson, jsonString, shapeJson, compareBytes } from "./write-json.ts";
import { shapeNode, treeNode, yamlText } from "./write-yaml.ts";

/** The project as `docker compose config` shows it: a `$` is doubled, so that the text is a compose file again. */
export function projectText(project: Project, format: "yaml" | "json"): string {
  const decoded = decodedProject({
    ...project,
    secrets: withoutContent(project.secrets, () => true),
    configs: withoutContent(project.configs, (config) => config.environment !== undefined),
  });
  const text = format === "yaml" ? yamlText(shapeNode(decoded, projectShape)) : projectJson(decoded);
  return text.replaceAll("$", () => "$$");
}

function withoutContent(
  objects: Readonly<Record<string, FileObject>>,
  isHidden: (object: FileObject) => boolean,
): Record<string, FileObject> {
  return Object.fromEntries(
    Object.entries(objects).map(([name, object]) => {
      const { content, ...rest } = object;
      return [name, content === undefined || isHidden(object) ? rest : { ...rest, content }];
    }),
  );
}

/** The top is a Go map, whose keys are sorted and to which extensions belong. */
function projectJson(decoded: Decoded): string {
  const parts = new Map<string, string>();
  for (const field of projectShape.fields) {
    const text = shapeJson(decoded, { fields: [field], extensible: false }).slice(1, -1);
    if (text !== "") parts.set(field.key, text);
  }
  const extra = (decoded as { [extensions]?: Record<string, Tree> })[extensions] ?? {};
  for (const [key, value] of Object.entries(extra)) parts.set(key, `${jsonString(key)}:${treeJson(value)}`);
  const sorted = [...parts.keys()].sort(compareBytes).map((key) => parts.get(key)!);
  return indentJson(`{${sorted.join(",")}}`);
}

function treeJson(value: Tree): string {
  if (Array.isArray(value)) return `[${value.map(treeJson).join(",")}]`;
  if (typeof value === "string") return jsonString(value);
  if (typeof value !== "object" || value === null) return String(value);
  const keys = Object.keys(value).sort(compareBytes);
  return `{${keys.map((key) => `${jsonString(key)}:${treeJson(value[key]!)}`).join(",")}}`;
}

/** A tree with its variables, as text. */
export function modelText(tree: TreeMap, format: "yaml" | "json"): string {
  return format === "yaml" ? yamlText(treeNode(tree)) : indentJson(treeJson(tree));
}

/** A decoded whole with other parts, for output. */
function decodedProject(project: Project): Decoded {
  return {
    ...project.extra,
    name: project.name,
    services: project.services,
    networks: project.networks,
    volumes: project.volumes,
    secrets: project.secrets,
    configs: project.configs,
  };
}
