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

/** Loads a bundle and returns what it exports. */
function load(name) {
  const filename = `${__dirname}/${name}.js`;
  const source = readFileSync(filename, "latin1");
  let cachedData;
  try {
    cachedData = readFileSync(`${__dirname}/${name}.cache`);
  } catch {
    // Not written yet.
  }
  const script = new Script(source, { filename, cachedData });
  const bundle = { exports: {} };
  script.runInThisContext()(bundle.exports, require, bundle, filename, __dirname);
  // The directory that the build script wants compiled forms in.
  const caches = process.env["GANTRY_WRITE_CODE_CACHE"];
  if (caches !== undefined)
    process.on("exit", () => writeFileSync(`${caches}/${name}.cache`, script.createCachedData()));
  return bundle.exports;
}

const words = process.argv.slice(2);
const name = bundleFor(words);
if (name === "compose" && words.includes("up") && (words.includes("-d") || words.includes("--detach"))) {
  load("unchanged")
    .endUnchanged(words)
    .then((exitCode) => (exitCode === undefined ? load(name) : process.exit(exitCode)));
} else load(name);
