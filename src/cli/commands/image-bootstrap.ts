import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { archiveInputs, mmdebstrapVersion, runMmdebstrap } from "../bootstrap/mmdebstrap.ts";
import { compressLayer, ociArchive } from "../bootstrap/oci-archive.ts";
import { bootstrapPlan, mirrorOf, variants, type BootstrapPlan } from "../bootstrap/plan.ts";
import type { Command, CommandContext } from "../command.ts";
import { CliError } from "../errors.ts";
import { showProgress } from "../progress.ts";
import { stdoutProgress } from "../pull-image.ts";

const command: Command = {
  path: "image bootstrap",
  usage: "[OPTIONS] NAME[:TAG]",
  short: "Make a Debian base image from a Debian mirror, without any registry",
  long:
    "Make a base image out of the packages of a Debian mirror with mmdebstrap, and load it. The name says which: " +
    "debian:bookworm, debian:trixie-slim, debian:12 … Another name needs --suite, and outside of Debian --mirror. " +
    'The configuration is an official image\'s: CMD ["bash"] and a PATH. The same packages make the same image, to the ' +
    "last byte: times are those of the mirror's newest list, or SOURCE_DATE_EPOCH, and a label names the lists.",
  examples: [
    ["gantry image bootstrap debian:bookworm", "Debian 12, as small as apt allows"],
    ["gantry image bootstrap --include curl,ca-certificates debian:trixie-slim", "with more packages"],
    [
      "gantry image bootstrap --suite noble --mirror http://archive.ubuntu.com/ubuntu ubuntu:noble",
      "Ubuntu, where its keyring is installed",
    ],
  ],
  section: "other",
  flags: [
    { name: "include", type: "strings", placeholder: "PACKAGES", help: "More packages, separated by commas" },
    { name: "mirror", type: "string", placeholder: "URL", help: "Mirror to use instead of this machine's" },
    {
      name: "snapshot",
      type: "string",
      placeholder: "TIME",
      help: "Take the packages of a moment from snapshot.debian.org: 20260901 or 20260901T120000Z",
    },
    { name: "suite", type: "string", help: "Suite to use instead of the one that the name says" },
    {
      name: "variant",
      type: "string",
      default: "minbase",
      help: `How much is in it: ${variants.join(", ")}`,
    },
  ],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const plan = bootstrapPlan({
      name: parsed.positional[0]!,
      suite: parsed.string("suite"),
      mirror: parsed.string("mirror"),
      variant: parsed.string("variant"),
      include: parsed.list("include"),
      snapshot: parsed.string("snapshot"),
    });
    if (process.getuid?.() !== 0) {
      throw new CliError('Making a file system takes root: run "sudo gantry image bootstrap …"');
    }
    const version = await mmdebstrapVersion();
    // Asked before the long work: without a daemon it would be for nothing.
    await context.client.ping();
    const stop = new AbortController();
    const onSignal = (): void => stop.abort(new CliError("interrupted", 130));
    process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
    const directory = mkdtempSync(join(tmpdir(), "gantry-bootstrap-"));
    try {
      await bootstrap(context, plan, { directory, version, signal: stop.signal });
    } finally {
      rmSync(directory, { recursive: true, force: true });
      process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    }
    return 0;
  },
};

export default command;

interface Workshop {
  readonly directory: string;
  readonly version: string;
  readonly signal: AbortSignal;
}

async function bootstrap(context: CommandContext, plan: BootstrapPlan, workshop: Workshop): Promise<void> {
  const { directory, version, signal } = workshop;
  const step = (text: string): void => context.print(`${text}\n`);
  step(`${plan.image}: ${plan.variant} of ${plan.suite} from ${mirrorOf(plan.sources[0]!)}`);
  const { epochSeconds, releases } = await archiveInputs(plan, directory);
  const tar = await runMmdebstrap({ plan, directory, epochSeconds, signal, onStep: step });
  step("compressing the layer...");
  const layer = await compressLayer(tar);
  signal.throwIfAborted();
  step("loading the image...");
  const include = plan.include.length === 0 ? "" : ` --include ${plan.include.join(",")}`;
  const archive = ociArchive(layer, {
    name: plan.image,
    createdSeconds: epochSeconds,
    createdBy: `gantry image bootstrap --suite ${plan.suite} --variant ${plan.variant}${include} ${plan.image}`,
    comment: `mmdebstrap ${version}`,
    releases,
  });
  await showProgress(context.client.imageLoad(archive, { quiet: true, signal }), stdoutProgress(context));
}
