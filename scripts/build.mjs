/**
 * Bundles the program into dist/:
 *
 *   gantry.cjs       what is started; loads the command line together with its code cache
 *   cli.js           the command line without compose, as one function; cli.cache is V8's compiled form of it
 *   compose.js       the commands of compose alone, and compose.cache
 *   unchanged.js     `compose up -d` where nothing has changed since the last time, and unchanged.cache
 *   whole.js         the command line with compose, for help and completion of its words, and whole.cache
 *   daemon.cjs       the daemon, loaded by `gantry daemon` alone
 *   registry-server.cjs  the registry, loaded by `gantry registry serve` and `gc`
 *   manifest-registry.cjs  the registry client, loaded by `gantry manifest`
 *   maintenance.cjs  what `gantry system check` and `doctor` do without a daemon
 *
 * Every file is replaced by a rename, so that programs that start meanwhile find the old or the new one, never half.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");

const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node26",
  write: false,
  legalComments: "none",
  logLevel: "warning",
};

/** The daemon and the registry are bundles of their own beside the command line's. */
const serversApart = {
  name: "servers-apart",
  setup(builder) {
    builder.onResolve(
      { filter: /^\.\/(daemon|registry-server|manifest-registry|maintenance)\.ts$/ },
      ({ path }) => ({
        path: path.replace(/ts$/, "cjs"),
        external: true,
      }),
    );
  },
};

function replace(name, content) {
  const path = join(dist, name);
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}

/** A compose file with what most of them have. */
const warmUpProject = `
services:
  web:
    image: "web:\${TAG:-1}"
    command: sh -c "true"
    ports: ["8080:80"]
    volumes: [data:/data, ./src:/src]
    environment: { A: 1 }
    depends_on: [db]
  db: { image: db, environment: [B=2], healthcheck: { test: "true", interval: 5s } }
volumes: { data: }
`;

/**
 * Writes characters outside of ASCII as escapes. The command line's bundle is read as Latin-1; of a server's, one such
 * character makes V8 keep the whole text with two bytes each, megabytes of memory.
 */
const asciiOnly = (code) =>
  code.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Leaves what is loaded when it is called for, by these paths, out of a bundle: start.cjs knows which one has it. */
const without = (filter, importers = /./) => ({
  name: "without",
  setup(builder) {
    builder.onResolve({ filter }, ({ kind, path, importer }) =>
      kind === "dynamic-import" && importers.test(importer) ? { path, namespace: "apart" } : undefined,
    );
    builder.onLoad({ filter: /./, namespace: "apart" }, ({ path }) => ({
      contents: `throw new Error("${path} is not in this bundle");`,
    }));
  },
});

/** Compose is half of the command line, which nobody else is to load. */
const composeApart = without(/^\.\/compose\//);

/** The commands of others. Those that compose itself calls it imports from elsewhere, and they stay. */
const commandsApart = without(/^\.\/commands\//, /\/src\/cli\/(acting-)?commands\.ts$/);

async function bundleCli(plugins, entry = "src/main.ts") {
  const result = await build({
    ...shared,
    entryPoints: [entry],
    format: "cjs",
    minify: true,
    // The bundle is run as a script, which has `require` and no loader for `import()`.
    supported: { "dynamic-import": false },
    // The same code as modules, of which what nobody calls is left out.
    alias: { yaml: join(root, "node_modules/yaml/browser/dist/index.js") },
    plugins: [serversApart, ...plugins],
  });
  return asciiOnly(result.outputFiles[0].text);
}

/** Puts a bundle in place as one function, without the compiled form of the one before it. */
function replaceScript(name, body) {
  rmSync(join(dist, `${name}.cache`), { force: true });
  replace(`${name}.js`, `(function(exports,require,module,__filename,__dirname){${body}\n})`);
}

async function buildCli() {
  const loader = readFileSync(join(root, "scripts", "start.cjs"));
  const [cli, compose, unchanged, whole] = await Promise.all([
    bundleCli([composeApart]),
    bundleCli([commandsApart]),
    bundleCli([], "src/unchanged.ts"),
    bundleCli([]),
  ]);
  // What one of these two has noted is for the other as it was built with it.
  const build = createHash("sha256").update(compose).update(unchanged).digest("hex");
  const named = (body) => body.replaceAll("__GANTRY_BUILD__", build);
  replaceScript("cli", cli);
  replaceScript("compose", named(compose));
  replaceScript("unchanged", named(unchanged));
  replaceScript("whole", whole);
  replace("gantry.cjs", loader);
  const directory = mkdtempSync(join(tmpdir(), "gantry-build-"));
  // A first run compiles what most commands use; its failure to find a daemon is meant.
  writeCaches(["cli"], ["-H", `unix://${directory}/no-daemon.sock`, "version"], directory);
  writeCaches(["whole"], ["help", "compose"], directory);
  const socket = join(directory, "daemon.sock");
  const daemon = spawn(process.execPath, [join(root, "scripts/warm-up-daemon.mjs"), socket], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    await once(daemon.stdout, "data");
    const up = (file) => ["-H", `unix://${socket}`, "compose", "-f", join(directory, file), "up", "-d"];
    writeFileSync(join(directory, "two.yaml"), warmUpProject);
    writeFileSync(join(directory, "one.yaml"), "name: one\nservices: { db: { image: db } }\n");
    // The second time one of the two services is there, as it should be: most of what is compiled is for that.
    for (let time = 0; time < 2; time++) writeCaches(["compose"], up("two.yaml"), directory);
    // Made, found unchanged, and known to be unchanged.
    for (let time = 0; time < 2; time++) writeCaches(["compose"], up("one.yaml"), directory);
    writeCaches(["unchanged"], up("one.yaml"), directory);
  } finally {
    daemon.kill();
    rmSync(directory, { recursive: true });
  }
}

/** Keeps what V8 has compiled of these bundles when a command line ends. */
function writeCaches(names, words, directory) {
  for (const name of names) rmSync(join(directory, `${name}.cache`), { force: true });
  spawnSync(process.execPath, [join(dist, "gantry.cjs"), ...words], {
    env: { ...process.env, XDG_CACHE_HOME: directory, GANTRY_WRITE_CODE_CACHE: directory },
    stdio: "ignore",
  });
  for (const name of names) {
    const cache = join(directory, `${name}.cache`);
    if (!existsSync(cache)) throw new Error(`The bundle ${name} of the command line does not run.`);
    replace(`${name}.cache`, readFileSync(cache));
  }
}

async function buildServer(name) {
  const result = await build({
    ...shared,
    entryPoints: [`src/${name}.ts`],
    // Not a module: importing Node's own http that way loads its fetch too, for megabytes and 40 ms.
    format: "cjs",
    external: ["koffi"],
  });
  replace(`${name}.cjs`, asciiOnly(result.outputFiles[0].text));
}

mkdirSync(dist, { recursive: true });
await Promise.all([
  buildCli(),
  buildServer("daemon"),
  buildServer("registry-server"),
  buildServer("manifest-registry"),
  buildServer("maintenance"),
]);
