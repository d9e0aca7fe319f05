import { formatReference } from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { listReference, needList, writeList } from "../manifest/lists.ts";

const command: Command = {
  path: "manifest annotate",
  usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
  short: "Say for which platform an image of a list is",
  flags: [
    { name: "arch", type: "string", help: "Architecture" },
    { name: "os", type: "string", help: "Operating system" },
    { name: "os-features", type: "strings", help: "Features of the operating system that it needs" },
    { name: "os-version", type: "string", help: "Version of the operating system" },
    { name: "variant", type: "string", help: "Variant of the architecture" },
  ],
  args: { min: 2, max: 2 },
  async run(context, parsed) {
    const [name = "", image = ""] = parsed.positional;
    const list = needList(context, listReference(name));
    const wanted = formatReference(listReference(image));
    const entry = list.entries.find(({ reference }) => reference === wanted);
    if (entry === undefined)
      throw new CliError(`manifest for image ${wanted} does not exist in ${list.reference}`);
    const platform = { ...(entry.descriptor.platform ?? { architecture: "", os: "" }) };
    if (parsed.changed("arch")) platform.architecture = parsed.string("arch");
    if (parsed.changed("os")) platform.os = parsed.string("os");
    if (parsed.changed("variant")) platform.variant = parsed.string("variant");
    if (parsed.changed("os-version")) platform["os.version"] = parsed.string("os-version");
    if (parsed.changed("os-features"))
      platform["os.features"] = [
        ...new Set([...(platform["os.features"] ?? []), ...parsed.list("os-features")]),
      ];
    if (platform.os === "" || platform.architecture === "")
      throw new CliError(
        `manifest entry for image has unsupported os/arch combination: ${platform.os}/${platform.architecture}`,
      );
    const changed = { ...entry, descriptor: { ...entry.descriptor, platform } };
    writeList(context, { ...list, entries: list.entries.map((one) => (one === entry ? changed : one)) });
    return 0;
  },
};

export default command;
