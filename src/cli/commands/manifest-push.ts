import { digestOf } from "../../oci/digest.ts";
import { parseReference, type Reference } from "../../oci/reference.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import type { ManifestRegistry, RegistryAccess } from "../manifest/access.ts";
import { accessFor } from "../manifest/fetch.ts";
import { type ListEntry, listDocument, listReference, needList, removeList } from "../manifest/lists.ts";

const command: Command = {
  path: "manifest push",
  usage: "[OPTIONS] MANIFEST_LIST",
  short: "Send a list of images to its registry",
  flags: [
    { name: "insecure", type: "bool", help: "Speak to the registry without TLS, if need be" },
    { name: "purge", short: "p", type: "bool", help: "Forget the list on this machine afterwards" },
  ],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const reference = listReference(parsed.positional[0]!);
    const list = needList(context, reference);
    const registry = await context.manifestRegistry();
    const access = await accessFor(context, reference, parsed.bool("insecure"));
    for (const entry of list.entries) await bringEntry(registry, entry, reference, access);
    const { bytes, mediaType } = listDocument(list);
    const digest = digestOf(bytes);
    await registry.put(reference, reference.tag ?? digest, { bytes, digest, mediaType }, access);
    context.print(`${digest}\n`);
    if (parsed.bool("purge")) removeList(context, reference);
    return 0;
  },
};

export default command;

/** An index may only name what is in its own repository. */
async function bringEntry(
  registry: ManifestRegistry,
  { reference, descriptor, blobs }: ListEntry,
  target: Reference,
  access: RegistryAccess,
): Promise<void> {
  const source = parseReference(reference);
  if (source.domain !== target.domain)
    throw new CliError(
      `cannot use source images from a different registry than the target image: ${source.domain} != ${target.domain}`,
    );
  if (source.path === target.path) return;
  await registry.mountBlobs(source, target, blobs, access);
  const { domain, path } = source;
  const raw = await registry.fetch({ domain, path, digest: descriptor.digest }, access);
  await registry.put(target, descriptor.digest, raw, access);
}
