/**
 * RUN for another architecture, with an emulator that the kernel knows of (binfmt_misc). The emulator is a stand-in: the
 * "foreign" programs are nothing but headers of an architecture that no test machine emulates, and static busybox acts for them
 * by their names.
 */
import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { lockEmulators, registeredFor, registerEmulator } from "../helpers/emulators.ts";
import { run, type RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const architecture = "loong64";
const platform = `linux/${architecture}`;

/** The first 64 bytes of a program for LoongArch (EM_LOONGARCH is 258). */
function foreignProgram(): Buffer {
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(258, 18);
  header.writeUInt32LE(1, 20);
  return header;
}

async function whyNot(): Promise<string | false> {
  await run(["sh", "-c", "modprobe binfmt_misc 2>/dev/null || true"]);
  if (!/\bbinfmt_misc$/m.test(await readFile("/proc/filesystems", "utf8")))
    return "the kernel has no binfmt_misc";
  const busybox = await run(["sh", "-c", 'ldd "$(command -v busybox)" 2>&1 || true']);
  if (!/not a dynamic executable|statically linked/.test(busybox.stdout)) return "busybox is not static";
  const registered = await registeredFor(architecture);
  return registered === "none" ? false : `${platform} has an emulator on this machine`;
}

const lock = await lockEmulators();
const skip = await whyNot();
after(() => lock[Symbol.asyncDispose]());

describe("RUN for another architecture", { skip }, () => {
  const suite = useDaemon({ leaves: ["data-root", "records"] });
  let work: string;
  let context: string;
  let emulator: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), "gantry-foreign-test-"));
    emulator = join(work, "busybox");
    await copyFile((await run(["sh", "-c", "command -v busybox"])).stdout.trim(), emulator);
    await chmod(emulator, 0o755);
    context = join(work, "context");
    await mkdir(join(context, "bin"), { recursive: true });
    for (const program of ["sh", "cat", "sed"])
      await writeFile(join(context, "bin", program), foreignProgram(), { mode: 0o755 });
    await writeFile(
      join(context, "Dockerfile"),
      'FROM scratch\nCOPY bin /bin\nARG TARGETARCH\nRUN echo "on $TARGETARCH" > /made && sed s/on/ran/ /made > /edited\nRUN ["cat", "/edited"]\n',
    );
  });
  after(() => rm(work, { recursive: true, force: true }));

  const build = (...flags: string[]): Promise<RunResult> =>
    suite.daemon.gantry([
      "build",
      "--progress=plain",
      "--no-cache",
      "--platform",
      platform,
      ...flags,
      context,
    ]);

  /** Registers for the time of the work. */
  async function withEmulator(flags: string, task: () => Promise<void>): Promise<void> {
    const magic = foreignProgram().subarray(0, 20);
    const mask = Buffer.alloc(20, 0xff);
    mask[7] = 0;
    mask[16] = 0xfe;
    {
      await using _emulator = await registerEmulator(suite.daemon.host, { magic, mask, emulator, flags });
      assert.equal(await registeredFor(architecture), flags === "F" ? "ready" : "outside");
      await task();
    }
    assert.equal(await registeredFor(architecture), "none");
  }

  test("is refused where nothing is registered", async () => {
    const result = await build();
    assert.notEqual(result.code, 0);
    assert.match(
      result.stderr,
      /needs programs for linux\/loong64 to run on linux\/\w+, and no emulator is registered \(binfmt_misc has no qemu-loongarch64\)/,
    );
  });

  test("is refused where containers do not reach the emulator", async () => {
    await withEmulator("", async () => {
      const result = await build();
      assert.notEqual(result.code, 0);
      assert.match(result.stderr, /not reached from containers \(qemu-loongarch64 lacks the flag F\)/);
    });
  });

  test("runs with the emulator, and the image is for that platform", async () => {
    await withEmulator("F", async () => {
      const result = await build("-t", "local/foreign:1");
      assert.equal(result.code, 0, result.stderr);
      assert.match(result.stderr, /\d ran loong64$/m);
      const format = ["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "local/foreign:1"];
      assert.equal(await suite.daemon.dockerOk(format), platform);
      const classic = await suite.daemon.docker(["build", "--no-cache", "--platform", platform, context], {
        env: { DOCKER_BUILDKIT: "0" },
        timeoutMs: 120_000,
      });
      assert.equal(classic.code, 0, classic.stderr);
      assert.match(classic.stdout, /^ran loong64$/m);
      const started = ["run", "--rm", "--platform", platform, "local/foreign:1", "cat", "/edited"];
      assert.equal(await suite.daemon.dockerOk(started), "ran loong64");
    });
    await suite.daemon.dockerOk(["rmi", "local/foreign:1"]);
    assert.notEqual((await build()).code, 0);
  });
});
