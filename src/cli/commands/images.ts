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
    if (name !== undefined) {
      if (filters["reference"] !== undefined) {
        throw new CliError("Name the images either as an argument or by --filter reference=, not by both.");
      }
      filters["reference"] = [name];
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
