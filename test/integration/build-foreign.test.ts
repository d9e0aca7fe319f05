/**
 * RUN for another architecture, with an emulator that the kernel knows of (binfmt_misc). The emulator is a stand-in: the
 * "foreign" programs are nothing but headers of an architecture that no test machine emulates, and static busybox acts for them
 * by their names. Registrations are the kernel's, for all of the machine: this one has a name of its own and goes again.
 */
import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run, type RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const place = "/proc/sys/fs/binfmt_misc";
const platform = "linux/loong64";
const name = `gantry-test-${process.pid}`;

/** The first 64 bytes of a program for LoongArch (EM_LOONGARCH is 258). */
function foreignProgram(): Buffer {
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(258, 18);
  header.writeUInt32LE(1, 20);
  return header;
}

/** `:name:M::magic:mask:interpreter:flags` (Documentation/admin-guide/binfmt-misc.rst). */
function registration(emulator: string, flags: string): string {
  const text = (bytes: Iterable<number>): string =>
    [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  const magic = foreignProgram().subarray(0, 20);
  const mask = Buffer.alloc(20, 0xff);
  mask[7] = 0;
  mask[16] = 0xfe;
  return `:${name}:M::${text(magic)}:${text(mask)}:${emulator}:${flags}`;
}

async function whyNot(): Promise<string | false> {
  await run(["sh", "-c", "modprobe binfmt_misc 2>/dev/null || true"]);
  if (!/\bbinfmt_misc$/m.test(await readFile("/proc/filesystems", "utf8")))
    return "the kernel has no binfmt_misc";
  const busybox = await run(["sh", "-c", 'ldd "$(command -v busybox)" 2>&1 || true']);
  if (!/not a dynamic executable|statically linked/.test(busybox.stdout)) return "busybox is not static";
  const present = await run(["sh", "-c", `grep -l 7f454c46.*0201 ${place}/* 2>/dev/null || true`]);
  return present.stdout === "" ? false : `${platform} has an emulator on this machine`;
}

describe("RUN for another architecture", { skip: await whyNot() }, () => {
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

  const inHost = (script: string, ...words: string[]): Promise<RunResult> =>
    suite.daemon.host.run(["sh", "-ec", script, "sh", ...words]);
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
    await inHost(`mount -t binfmt_misc binfmt_misc ${place}`);
    try {
      const registered = await inHost(`printf %s "$1" > ${place}/register`, registration(emulator, flags));
      assert.equal(registered.code, 0, registered.stderr);
      await task();
    } finally {
      await inHost(`if [ -e ${place}/${name} ]; then echo -1 > ${place}/${name}; fi`);
      await inHost(`umount ${place}`);
    }
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
