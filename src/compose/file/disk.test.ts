import { deepEqual, equal } from "node:assert/strict";
import { mkdtempSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { kindAt, noteAnswers, readText, realPath, sameAnswers } from "./disk.ts";

describe("what the disk answered", () => {
  let root = "";
  const at = (name: string): string => join(root, name);
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "gantry-disk-"));
    writeFileSync(at("file"), "text");
    mkdirSync(at("directory"));
    symlinkSync("directory", at("link"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const ask = (): string[] => [
    readText(at("file")),
    kindAt(at("file")),
    kindAt(at("directory")),
    kindAt(at("missing")),
    realPath(at("link")),
  ];

  it("is given as it is, and the same again as long as nothing changes", () => {
    const { result, answers } = noteAnswers(ask);
    deepEqual(result, ["text", "file", "directory", "none", at("directory")]);
    utimesSync(at("file"), 1, 1);
    writeFileSync(at("another"), "");
    equal(sameAnswers(answers), true);
  });

  const changes: Readonly<Record<string, () => void>> = {
    "another text": () => writeFileSync(at("file"), "TEXT"),
    "no file": () => rmSync(at("file")),
    "no directory": () => rmSync(at("directory"), { recursive: true }),
    "what was missing": () => writeFileSync(at("missing"), ""),
    "a link elsewhere": () => {
      renameSync(at("directory"), at("moved"));
      mkdirSync(at("directory"));
      rmSync(at("link"));
      symlinkSync("moved", at("link"));
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    it(`is another with ${name}`, () => {
      const { answers } = noteAnswers(ask);
      change();
      equal(sameAnswers(answers), false);
    });
  }

  it("never comes again from what is read once", () => {
    const { answers } = noteAnswers(() => readText("/dev/null"));
    equal(sameAnswers(answers), false);
  });
});
