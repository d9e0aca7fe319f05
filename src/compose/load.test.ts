import { equal, match, throws } from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ComposeError } from "./errors.ts";
import { loadProject, type LoadOptions } from "./load.ts";
import { projectText } from "./model/output.ts";
import { serviceHash } from "./model/service-hash.ts";
import { withoutUnused } from "./model/select.ts";

const fixtures = join(import.meta.dirname, "../../test/fixtures/compose");

/** Loads as `docker compose config` does, with nothing in the environment but a home. */
function load(cwd: string, options: Partial<LoadOptions> = {}): ReturnType<typeof loadProject> {
  return withoutUnused(loadProject({ cwd, env: { HOME: "/home/somebody" }, ...options }));
}

/** The numbered files of a folder, or undefined for what is found by its name. */
function filesOf(folder: string): string[] | undefined {
  const numbered = readdirSync(folder).filter((name) => /^\d\.yaml$/.test(name));
  return numbered.length === 0 ? undefined : numbered.sort();
}

describe("golden folders: files in, the project that Docker Compose 2.26 makes of them out", () => {
  for (const name of readdirSync(fixtures)) {
    const folder = join(fixtures, name);
    for (const format of ["yaml", "json"] as const) {
      const expected = join(folder, `expected.${format}`);
      if (!existsSync(expected)) continue;
      it(`${name} as ${format}`, () => {
        const files = filesOf(folder);
        const home = process.env["HOME"];
        process.env["HOME"] = "/home/somebody";
        try {
          const project = load(folder, files === undefined ? {} : { files });
          const text = projectText(project, format).replaceAll(folder, "/project");
          equal(text, readFileSync(expected, "utf8"));
        } finally {
          process.env["HOME"] = home;
        }
      });
    }
    const hashes = join(folder, "expected.hash");
    if (!existsSync(hashes)) continue;
    it(`${name}: hashes of its services`, () => {
      const { services } = load(folder, { resolveEnvironment: false });
      const lines = Object.keys(services)
        .sort()
        .map((service) => `${service} ${serviceHash(services[service]!)}\n`);
      equal(lines.join(""), readFileSync(hashes, "utf8"));
    });
  }
});

/** Writes a file, loads it, and hands what comes of it to `check`. */
function withFile(text: string, check: (directory: string) => void, name = "compose.yaml"): void {
  const directory = mkdtempSync(join(tmpdir(), "gantry-compose-"));
  try {
    writeFileSync(join(directory, name), text);
    check(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("errors carry file, line, column and the key's path", () => {
  const cases: readonly (readonly [what: string, text: string, place: string, words: RegExp])[] = [
    ["no YAML", "services:\n  web: [a\n", "3:1", /yaml: /],
    [
      "a key twice",
      "services:\n  a: {image: x}\n  a: {image: y}\n",
      "3:3",
      /mapping key "a" already defined at line 2/,
    ],
    [
      "an unknown key",
      "services:\n  web:\n    image: x\n    imgae: y\n",
      "4:5",
      /^services\.web Additional property imgae is not allowed$/,
    ],
    [
      "an unknown key at the top",
      "services: {a: {image: x}}\nservice: {}\n",
      "2:1",
      /Additional property service is not allowed/,
    ],
    [
      "a wrong type",
      "services:\n  web:\n    image: x\n    ports: 80\n",
      "4:5",
      /^services\.web\.ports must be a list$/,
    ],
    [
      "a wrong type in a choice",
      "services:\n  web:\n    image: x\n    command: {a: b}\n",
      "4:5",
      /^services\.web\.command must be a .*string/,
    ],
    [
      "a bad port",
      "services:\n  web:\n    image: x\n    ports:\n      - 80\n      - 80a:1\n",
      "6:9",
      /services\.web\.ports\.1: Invalid hostPort: 80a/,
    ],
    [
      "a bad duration",
      "services:\n  w: {image: x, stop_grace_period: 5x}\n",
      "2:17",
      /services\.w\.stop_grace_period: .*invalid duration "5x"/,
    ],
    [
      "a bad size",
      "services:\n  w: {image: x, mem_limit: 5q}\n",
      "2:17",
      /services\.w\.mem_limit: invalid size: '5q'/,
    ],
    [
      "a variable that must be there",
      "services:\n  w:\n    image: x:${TAG:?no tag}\n",
      "3:5",
      /error while interpolating services\.w\.image: required variable TAG is missing a value: no tag/,
    ],
    [
      "a broken variable",
      "services:\n  w:\n    image: x:${\n",
      "3:5",
      /invalid interpolation format for services\.w\.image/,
    ],
    [
      "neither image nor build",
      "services:\n  w:\n    command: x\n",
      "2:3",
      /service "w" has neither an image nor a build context specified/,
    ],
    [
      "an undefined network",
      "services:\n  w:\n    image: x\n    networks: [n]\n",
      "4:5",
      /service "w" refers to undefined network n/,
    ],
    [
      "an undefined volume",
      "services:\n  w:\n    image: x\n    volumes:\n      - data:/d\n",
      "5:9",
      /service "w" refers to undefined volume data/,
    ],
    [
      "an undefined dependency",
      "services:\n  w:\n    image: x\n    depends_on: [n]\n",
      "4:5",
      /depends on undefined service "n"/,
    ],
    [
      "a circle of dependencies",
      "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
      "2:17",
      /dependency cycle detected: a -> b -> a/,
    ],
    [
      "a circle of extensions",
      "services:\n  a: {extends: b}\n  b: {extends: a}\n",
      "2:7",
      /Circular reference:/,
    ],
    [
      "an extension of nobody",
      "services:\n  a:\n    extends: b\n",
      "3:5",
      /cannot extend service "a" in .*: service "b" not found/,
    ],
    [
      "models",
      "services:\n  a: {image: x}\nmodels:\n  llm: {model: ai/x}\n",
      "3:1",
      /models: .*not served by gantry/,
    ],
    [
      "a provider",
      "services:\n  a:\n    provider: {type: awesomecloud}\n",
      "3:5",
      /services\.a\.provider: .*not served by gantry/,
    ],
    [
      "a secret without a source",
      "services: {a: {image: x}}\nsecrets:\n  s: {}\n",
      "3:3",
      /secrets\.s: one of file\|environment must be set/,
    ],
    [
      "an external volume with a driver",
      "services: {a: {image: x}}\nvolumes:\n  v: {external: true, driver: d}\n",
      "3:3",
      /conflicting parameters "external" and "driver" specified/,
    ],
    [
      "a word for a truth",
      "services:\n  a:\n    image: x\n    privileged: ${P:-perhaps}\n",
      "4:5",
      /services\.a\.privileged: failed to cast to expected type: invalid boolean: perhaps/,
    ],
    ["an unknown version", 'version: "9"\nservices: {a: {image: x}}\n', "1:1", /Version "9" is unsupported/],
  ];
  for (const [what, text, place, words] of cases) {
    it(what, () => {
      withFile(text, (directory) => {
        throws(
          () => load(directory),
          (error: unknown) => {
            if (!(error instanceof ComposeError)) throw error;
            const start = `${join(directory, "compose.yaml")}:${place}: `;
            equal(error.message.slice(0, start.length), start, error.message);
            match(error.message.slice(start.length), words);
            return true;
          },
        );
      });
    });
  }
});

describe("files of other times", () => {
  it("reads fig.yml: services at the top, the default bridge, links", () => {
    const text =
      "db:\n  image: postgres\nweb:\n  build: .\n  dockerfile: Other\n  net: container:db\n  links: [db]\n  log_driver: none\n";
    withFile(
      text,
      (directory) => {
        const project = load(directory, { fig: true, projectName: "old" });
        equal(project.services["db"]!.network_mode, "bridge");
        equal(project.services["web"]!.network_mode, "service:db");
        equal(project.services["web"]!.build!.dockerfile, "Other");
        equal(project.services["web"]!.logging!.driver, "none");
        equal(project.separator, "_");
      },
      "fig.yml",
    );
  });

  it("reads version 2 with a driver for volumes", () => {
    withFile('version: "2.1"\nservices:\n  a: {image: x, volume_driver: d, mem_limit: 1g}\n', (directory) => {
      const project = load(directory);
      equal(project.services["a"]!.volume_driver, "d");
      equal(project.services["a"]!.mem_limit, 1024 ** 3);
    });
  });
});

describe("names of projects", () => {
  const text = "services: {a: {image: x}}\n";
  const cases: readonly (readonly [string, Partial<LoadOptions>, string])[] = [
    [`name: in-file\n${text}`, {}, "in-file"],
    [`name: in-file\n${text}`, { projectName: "given" }, "given"],
    [`name: in-file\n${text}`, { env: { COMPOSE_PROJECT_NAME: "of-env" } }, "of-env"],
    [`name: "a-\${X:-y}"\n${text}`, {}, "a-y"],
    [text, { projectDirectory: "/tmp/My_Project.X" }, "my_projectx"],
    [text, { projectDirectory: "/tmp/My_Project.X", fig: true }, "myprojectx"],
  ];
  for (const [content, options, name] of cases) {
    it(name, () => {
      withFile(content, (directory) => {
        const files = [join(directory, "compose.yaml")];
        equal(load(directory, { files, ...options }).name, name);
      });
    });
  }

  it("refuses one that cannot be", () => {
    withFile(text, (directory) =>
      throws(() => load(directory, { projectName: "Nö" }), /invalid project name/),
    );
  });
});
