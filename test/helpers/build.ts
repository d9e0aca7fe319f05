/** Builds for tests: a context out of a table of files, built with the classic builder's door. */
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestDaemon } from "./daemon.ts";
import { mustRun, type RunResult } from "./process.ts";

/** A file's text; a symbolic link's target; or text with a mode. */
export type TestFile =
  | string
  | Buffer
  | { readonly link: string }
  | { readonly text: string; readonly mode: number };

export interface TestContext extends AsyncDisposable {
  readonly directory: string;
}

/** Writes a context; it is removed when it is disposed. */
export async function makeContext(files: Readonly<Record<string, TestFile>>): Promise<TestContext> {
  const directory = await mkdtemp(join(tmpdir(), "gantry-test-build-"));
  for (const [name, file] of Object.entries(files)) {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    if (typeof file === "string" || Buffer.isBuffer(file)) await writeFile(path, file);
    else if ("link" in file) await symlink(file.link, path);
    else {
      await writeFile(path, file.text);
      await chmod(path, file.mode);
    }
  }
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

/** `docker build` with the classic builder. */
export async function dockerBuild(
  daemon: TestDaemon,
  files: Readonly<Record<string, TestFile>>,
  args: readonly string[] = [],
): Promise<RunResult> {
  await using context = await makeContext(files);
  return await daemon.docker(["build", ...args, context.directory], {
    env: { DOCKER_BUILDKIT: "0" },
    timeoutMs: 180_000,
  });
}

/** Puts a program of this machine and the libraries that it needs under a directory, so that no packages have to come from anywhere. */
export async function copyProgram(program: string, directory: string): Promise<void> {
  const { stdout } = await mustRun(["ldd", program]);
  for (const path of [program, ...(stdout.match(/\/[^ ]+(?= \(0x)/g) ?? [])]) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await copyFile(path, join(directory, path));
  }
}
