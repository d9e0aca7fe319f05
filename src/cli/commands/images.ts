import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { imagesFlags } from "../flags/listing.ts";
import {
  defaultImagesFormat,
  digestsImagesFormat,
  imageListing,
  imageRows,
  rawImagesFormat,
} from "../output/images.ts";
import { imageTree } from "../output/image-tree.ts";
import { renderListing } from "../output/table.ts";
import type { ParsedArguments } from "../parser.ts";

const command: Command = {
  path: "images",
  aliases: ["image ls", "image list"],
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  short: "List the images that are here",
  section: "common",
  args: { min: 0, max: 1 },
  flags: imagesFlags,
  completes: "images",
  async run(context, parsed) {
    const format = imagesFormat(parsed, () => context.config().imagesFormat);
    const filters: Record<string, readonly string[]> = { ...parsed.filters("filter") };
    const [name] = parsed.positional;
    if (name !== undefined && name !== "") {
      if (filters["reference"] !== undefined) {
        throw new CliError("Name the images either as an argument or by --filter reference=, not by both.");
      }
      filters["reference"] = [name];
    }
    if (parsed.bool("tree")) {
      refuseWithTree(parsed);
      const trees = await context.client.imageList({ all: parsed.bool("all"), filters, manifests: true });
      context.print(imageTree(trees));
      return 0;
    }
    const images = await context.client.imageList({ all: parsed.bool("all"), filters });
    const rows = imageRows(images, {
      digests: parsed.bool("digests") || /\{\{[^}]*\.Digest\b/.test(format),
      isTruncated: !parsed.bool("no-trunc"),
    });
    context.print(renderListing(imageListing, rows, format));
    return 0;
  },
};

/** What says another form of the list. */
function refuseWithTree(parsed: ParsedArguments): void {
  for (const name of ["quiet", "no-trunc", "digests"])
    if (parsed.bool(name)) throw new CliError(`--${name} is not yet supported with --tree`);
  if (parsed.string("format") !== "") throw new CliError("--format is not yet supported with --tree");
}

function imagesFormat(parsed: ParsedArguments, configured: () => string | undefined): string {
  const isQuiet = parsed.bool("quiet");
  const given = parsed.string("format");
  const format = given === "" && !isQuiet ? (configured() ?? "") : given;
  if (format === "" || format === "table") {
    if (isQuiet) return "{{.ID}}";
    return parsed.bool("digests") ? digestsImagesFormat : defaultImagesFormat;
  }
  if (format === "raw") return isQuiet ? "image_id: {{.ID}}" : rawImagesFormat(parsed.bool("digests"));
  return format;
}

export default command;
