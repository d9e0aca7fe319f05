import type { Command } from "../command.ts";
import { accessFor, fetchManifest, fetchVerbose } from "../manifest/fetch.ts";
import { listDocument, listReference, readList } from "../manifest/lists.ts";

const command: Command = {
  path: "manifest inspect",
  usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
  short: "Show the manifest of an image, or a list of them",
  long: "Show what a registry has under a name, or a list that `manifest create` began. Nothing is pulled.",
  flags: [
    { name: "insecure", type: "bool", help: "Speak to the registry without TLS, if need be" },
    {
      name: "verbose",
      short: "v",
      type: "bool",
      help: "Show descriptors and platforms, and each image of a list",
    },
  ],
  args: { min: 1, max: 2 },
  async run(context, parsed) {
    const [list, image] =
      parsed.positional.length === 2 ? parsed.positional : [undefined, parsed.positional[0]];
    const reference = listReference(image!);
    const show = (value: unknown): void => context.print(`${JSON.stringify(value, undefined, "\t")}\n`);
    const local = list === undefined ? readList(context, reference) : undefined;
    if (local !== undefined && !parsed.bool("verbose")) {
      show(JSON.parse(listDocument(local).bytes.toString("utf8")));
      return 0;
    }
    if (local !== undefined) {
      show(local.entries.map((entry) => ({ Ref: entry.reference, Descriptor: entry.descriptor })));
      return 0;
    }
    const registry = await context.manifestRegistry();
    const access = await accessFor(context, reference, parsed.bool("insecure"));
    if (parsed.bool("verbose")) show(await fetchVerbose(registry, reference, access));
    else show(JSON.parse((await fetchManifest(registry, reference, access)).bytes.toString("utf8")));
    return 0;
  },
};

export default command;
