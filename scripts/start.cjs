"use strict";
/**
 * What `gantry` starts: the command line's bundle together with its compiled form, which spares parsing and
 * compiling it. V8 refuses a compiled form of another version by itself and compiles anew.
 */
const { readFileSync, writeFileSync } = require("node:fs");
const { Script } = require("node:vm");

// What compose is made of is much, and nobody else is to load it.
const isCompose = process.argv.slice(2).some((word) => word === "compose" || word === "fig");
const name = isCompose ? "compose" : "cli";
const filename = `${__dirname}/${name}.js`;
const source = readFileSync(filename, "latin1");
let cachedData;
try {
  cachedData = readFileSync(`${__dirname}/${name}.cache`);
} catch {
  // Not written yet.
}
const script = new Script(`(function(exports,require,module,__filename,__dirname){${source}\n})`, {
  filename,
  cachedData,
});
script.runInThisContext()(exports, require, module, filename, __dirname);

const cacheTarget = process.env["GANTRY_WRITE_CODE_CACHE"];
if (cacheTarget !== undefined)
  process.on("exit", () => writeFileSync(cacheTarget, script.createCachedData()));
