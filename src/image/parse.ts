/** Reading manifests, indexes and configurations that strangers wrote. Everything the engine uses is checked once, here. */
import { errorText, invalidArgument } from "../base/errors.ts";
import { parseDigest } from "../oci/digest.ts";
import type { Descriptor, ImageConfigFile, ImageIndex, ImageManifest } from "../oci/image-spec.ts";

type Check = (value: unknown) => boolean;

const isString: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isStrings: Check = (value) => Array.isArray(value) && value.every(isString);
const isStringMap: Check = (value) => isObject(value) && Object.values(value).every(isString);

/** Checks fields that may be missing or null. */
function checkFields(
  what: string,
  value: Record<string, unknown>,
  fields: Readonly<Record<string, Check>>,
): void {
  for (const [name, check] of Object.entries(fields)) {
    const field = value[name];
    if (field !== undefined && field !== null && !check(field))
      throw invalidArgument(`${what} is malformed: its field ${name} is of the wrong type`);
  }
}

function parseObject(what: string, data: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(data.toString("utf8"));
  } catch (error) {
    throw invalidArgument(`${what} is no JSON: ${errorText(error)}`);
  }
  if (!isObject(value)) throw invalidArgument(`${what} is malformed: it is no JSON object`);
  return value;
}

function checkDescriptor(what: string, value: unknown): Descriptor {
  if (!isObject(value) || typeof value["digest"] !== "string" || typeof value["size"] !== "number")
    throw invalidArgument(`${what} is malformed: a descriptor has no digest and size`);
  checkFields(what, value, {
    mediaType: isString,
    annotations: isStringMap,
    platform: isObject,
    urls: isStrings,
  });
  if (isObject(value["platform"]))
    checkFields(what, value["platform"], { os: isString, architecture: isString, variant: isString });
  parseDigest(value["digest"]);
  return value as unknown as Descriptor;
}

function checkDescriptors(what: string, value: unknown): Descriptor[] {
  if (!Array.isArray(value))
    throw invalidArgument(`${what} is malformed: its list of descriptors is missing`);
  return value.map((descriptor) => checkDescriptor(what, descriptor));
}

/** Throws `invalidArgument`. */
export function parseIndex(what: string, data: Buffer): ImageIndex {
  const value = parseObject(what, data);
  checkDescriptors(what, value["manifests"]);
  return value as unknown as ImageIndex;
}

/** Throws `invalidArgument`, also for an index. */
export function parseManifest(what: string, data: Buffer): ImageManifest {
  const value = parseObject(what, data);
  checkDescriptor(what, value["config"]);
  checkDescriptors(what, value["layers"]);
  return value as unknown as ImageManifest;
}

/** Throws `invalidArgument`. */
export function parseImageConfig(what: string, data: Buffer): ImageConfigFile {
  const value = parseObject(what, data);
  checkFields(what, value, {
    architecture: isString,
    os: isString,
    variant: isString,
    created: isString,
    author: isString,
    config: isObject,
    history: (list) => Array.isArray(list) && list.every(isObject),
  });
  const rootfs = value["rootfs"];
  if (!isObject(rootfs) || !(rootfs["diff_ids"] === null || isStrings(rootfs["diff_ids"])))
    throw invalidArgument(`${what} is malformed: its list of layers (rootfs.diff_ids) is missing`);
  rootfs["diff_ids"] ??= [];
  for (const diffId of rootfs["diff_ids"] as string[]) parseDigest(diffId);
  checkConfig(what, value["config"]);
  for (const entry of (value["history"] ?? []) as Record<string, unknown>[])
    checkFields(`history of ${what}`, entry, {
      created: isString,
      created_by: isString,
      author: isString,
      comment: isString,
      empty_layer: (flag) => typeof flag === "boolean",
    });
  value["architecture"] ??= "";
  value["os"] ??= "linux";
  return value as unknown as ImageConfigFile;
}

function checkConfig(what: string, config: unknown): void {
  if (!isObject(config)) return;
  checkFields(what, config, {
    User: isString,
    WorkingDir: isString,
    StopSignal: isString,
    Env: isStrings,
    Cmd: isStrings,
    Entrypoint: isStrings,
    OnBuild: isStrings,
    Shell: isStrings,
    Labels: isStringMap,
    ExposedPorts: isObject,
    Volumes: isObject,
    Healthcheck: isObject,
  });
  if (isObject(config["Healthcheck"]))
    checkFields(`health check of ${what}`, config["Healthcheck"], {
      Test: isStrings,
      Interval: isNumber,
      Timeout: isNumber,
      Retries: isNumber,
      StartPeriod: isNumber,
      StartInterval: isNumber,
    });
}
