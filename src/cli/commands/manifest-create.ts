import { errorText } from "../../base/errors.ts";
import { formatReference, type Reference } from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { accessFor, fetchEntry } from "../manifest/fetch.ts";
import { listReference, readList, writeList } from "../manifest/lists.ts";

const command: Command = {
  path: "manifest create",
  usage: "[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]",
  short: "Begin a list of images for several platforms",
  long:
    "Begin a list of images that are in a registry already, one for each platform. It stays on this machine until " +
    "`manifest push` sends it.",
  examples: [
    [
      "gantry manifest create reg:5000/app:1 reg:5000/app:1-amd64 reg:5000/app:1-arm64",
      "one name for two images",
    ],
  ],
  flags: [
    { name: "amend", short: "a", type: "bool", help: "Add to a list that was begun before" },
    { name: "insecure", type: "bool", help: "Speak to the registry without TLS, if need be" },
  ],
  args: { min: 2 },
  async run(context, parsed) {
    const [name = "", ...images] = parsed.positional;
    const reference = parseName(name, "manifest list ");
    const shown = formatReference(reference);
    const before = readList(context, reference);
    if (before !== undefined && !parsed.bool("amend"))
      throw new CliError(`refusing to amend an existing manifest list with no --amend flag`);
    const registry = await context.manifestRegistry();
    const entries = new Map(before?.entries.map((entry) => [entry.reference, entry]));
    for (const image of images) {
      const one = parseName(image, "");
      const access = await accessFor(context, one, parsed.bool("insecure"));
      const entry = await fetchEntry(registry, one, access);
      entries.set(entry.reference, entry);
    }
    writeList(context, { reference: shown, entries: [...entries.values()] });
    context.print(`Created manifest list ${shown}\n`);
    return 0;
  },
};

export default command;

function parseName(text: string, what: string): Reference {
  try {
    return listReference(text);
  } catch (error) {
    throw new CliError(`error parsing name for ${what}${text}: ${errorText(error)}`, 1, { cause: error });
  }
}
