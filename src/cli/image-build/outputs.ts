/** Where a build's result goes: `--output`, `--push`, `--load` and `--tag`. */
import { createWriteStream } from "node:fs";
import { resolve } from "node:path";
import { isatty } from "node:tty";
import { invalidArgument } from "../../base/errors.ts";
import { LayoutStore } from "../../client/buildkit/layout-store.ts";
import type { OutputPlace } from "../../client/buildkit/session.ts";
import { parseReference } from "../../oci/reference.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { csvPairs } from "./csv.ts";
import type { WrittenLayout } from "./layouts.ts";

/** The exporters, and where their bytes go. Without any the result becomes an image here. */
export function readOutputs(
  parsed: ParsedArguments,
  stores: Map<string, LayoutStore>,
): {
  exporters: { type: string; attributes: Record<string, string> }[];
  outputs: Map<number, OutputPlace>;
  layouts: WrittenLayout[];
} {
  const layouts: WrittenLayout[] = [];
  const tags = parsed.list("tag");
  for (const tag of tags) checkName(tag);
  const outputs = new Map<number, OutputPlace>();
  const exporters = parsed.list("output").map((entry, index) => {
    const exporter = outputOf(entry);
    const { dest } = exporter.attributes;
    delete exporter.attributes["dest"];
    const isImage = ["image", "docker", "oci", "moby"].includes(exporter.type);
    if (isImage && exporter.attributes["name"] === undefined && tags.length > 0)
      exporter.attributes["name"] = tags.join(",");
    if (exporter.type === "local") {
      if (dest === undefined || dest === "") throw new CliError("dest is required for local output");
      outputs.set(index, { directory: resolve(dest) });
    } else if (["oci", "docker"].includes(exporter.type) && exporter.attributes["tar"] === "false") {
      if (dest === undefined || dest === "")
        throw new CliError(`dest is required for ${exporter.type} output`);
      const store = new LayoutStore(resolve(dest));
      store.create();
      stores.set("export", store);
      const name = exporter.attributes["name"]?.split(",")[0] ?? "";
      layouts.push({ store, tag: tagOf(name), key: "containerimage.descriptor" });
    } else if (exporter.type !== "image" && exporter.type !== "moby") {
      outputs.set(index, { open: () => openFile(dest ?? "-") });
    }
    return exporter;
  });
  if (parsed.bool("push")) {
    const image = exporters.find(({ type }) => type === "image" || type === "moby");
    if (image === undefined) exporters.push(imageExporter(tags, true));
    else Object.assign(image, { type: "image" }).attributes["push"] = "true";
    if (tags.length === 0 && exporters.every(({ attributes }) => attributes["name"] === undefined))
      throw new CliError("tag is needed when pushing to registry");
  }
  if (exporters.length === 0 || (parsed.bool("load") && !exporters.some(({ type }) => type === "moby")))
    if (!exporters.some(({ type }) => type === "image")) exporters.push(imageExporter(tags, false));
  return { exporters, outputs, layouts };
}

const tagOf = (name: string): string => (name === "" ? undefined : parseReference(name).tag) ?? "latest";

function imageExporter(
  tags: readonly string[],
  push: boolean,
): { type: string; attributes: Record<string, string> } {
  return {
    // "moby" is what Docker's own daemon keeps images by.
    type: push ? "image" : "moby",
    attributes: { ...(tags.length === 0 ? {} : { name: tags.join(",") }), ...(push ? { push: "true" } : {}) },
  };
}

/** `DIR`, `-` for a tar to standard output, or `type=…,dest=…`. */
function outputOf(entry: string): { type: string; attributes: Record<string, string> } {
  if (!entry.includes("=") && !entry.startsWith("type"))
    return entry === "-"
      ? { type: "tar", attributes: { dest: "-" } }
      : { type: "local", attributes: { dest: entry } };
  const pairs = csvPairs(entry);
  const type = pairs.get("type") ?? "";
  if (type === "") throw new CliError("type is required for output");
  pairs.delete("type");
  const attributes = Object.fromEntries(pairs);
  if (type === "registry") return { type: "image", attributes: { ...attributes, push: "true" } };
  if (type === "docker" && attributes["dest"] === undefined) return { type: "moby", attributes };
  if (!["local", "tar", "oci", "docker", "image"].includes(type))
    throw new CliError(
      `invalid output type ${JSON.stringify(type)}: want local, tar, oci, docker, image or registry`,
    );
  return { type, attributes };
}

function openFile(path: string): ReturnType<OutputFile> {
  if (path !== "-") return createWriteStream(path);
  if (isatty(1)) throw invalidArgument("refusing to write an archive to a terminal: give --output dest=FILE");
  return createWriteStream("", { fd: 1, autoClose: false });
}

type OutputFile = Extract<OutputPlace, { open: unknown }>["open"];

function checkName(tag: string): void {
  try {
    parseReference(tag);
  } catch (error) {
    throw new CliError(`invalid tag ${JSON.stringify(tag)}: ${(error as Error).message}`, 1, {
      cause: error,
    });
  }
}
