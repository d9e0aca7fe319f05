import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseArguments } from "./parser.ts";
import { commands, groups, unservedCommands } from "./commands.ts";
import { gantryVersion } from "./version-number.ts";

const root = join(import.meta.dirname, "..", "..");

test("the table and the commands name each other", async () => {
  const named = new Set<string>();
  for (const [path, load] of Object.entries(commands)) {
    const { default: command } = await load();
    const names = [command.path, ...(command.aliases ?? [])];
    assert.ok(names.includes(path), `${path} loads the command ${command.path}`);
    for (const name of names) named.add(name);
  }
  assert.deepEqual([...named].sort(), Object.keys(commands).sort());
});

test("flags of a command have names and letters of their own, and text that says something", async () => {
  for (const [path, load] of Object.entries(commands)) {
    const { default: command } = await load();
    const names = command.flags.map(({ name }) => name);
    const letters = command.flags.flatMap(({ short }) => (short === undefined ? [] : [short]));
    assert.equal(new Set(names).size, names.length, path);
    assert.equal(new Set(letters).size, letters.length, path);
    for (const flag of command.flags) {
      assert.ok(flag.help.length > 5 || flag.hidden === true, `${path} --${flag.name}`);
      assert.ok(flag.aliasOf === undefined || names.includes(flag.aliasOf), `${path} --${flag.name}`);
    }
    // Every default can be read back.
    const parsed = parseArguments([], command.flags);
    for (const name of names) assert.equal(parsed.changed(name), false);
  }
});

test("nothing is both served and told to be not", () => {
  for (const [group, names] of Object.entries(unservedCommands)) {
    for (const name of names) {
      const path = group === "" ? name : `${group} ${name}`;
      assert.ok(!Object.hasOwn(commands, path) && !Object.hasOwn(groups, path), path);
    }
  }
});

test("the version is the package's", () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  assert.equal(gantryVersion, version);
});
