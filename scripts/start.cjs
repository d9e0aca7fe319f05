"use strict";
/**
 * What `gantry` starts: the command line's bundle together with its compiled form, which spares parsing and
 * compiling it. V8 refuses a compiled form of another version by itself and compiles anew.
 */
const { readFileSync, writeFileSync } = require("node:fs");
const { Script } = require("node:vm");

/** Flags before the command, and how many words each takes. */
const flags = new Map([
  ["-H", 2],
  ["--host", 2],
  ["-c", 2],
  ["--context", 2],
  ["--config", 2],
  ["-D", 1],
  ["--debug", 1],
]);

const isCompose = (word) => word === "compose" || word === "fig";

/** Compose is much that others are not to load; help and completion of its words take both. */
function bundleFor(words) {
  let at = 0;
  while (flags.has(words[at])) at += flags.get(words[at]);
  if (isCompose(words[at])) return "compose";
  return words.some(isCompose) ? "whole" : "cli";
}

const name = bundleFor(process.argv.slice(2));
const filename = `${__dirname}/${name}.js`;
const source = readFileSync(filename, "latin1");
let cachedData;
try {
  cachedData = readFileSync(`${__dirname}/${name}.cache`);
} catch {
  // Not written yet.
}
const script = new Script(source, { filename, cachedData });
script.runInThisContext()(exports, require, module, filename, __dirname);

const cacheTarget = process.env["GANTRY_WRITE_CODE_CACHE"];
if (cacheTarget !== undefined)
  process.on("exit", () => writeFileSync(cacheTarget, script.createCachedData()));
