import { formatPlatform } from "../../oci/platform.ts";
import type { ImageSummary } from "../../wire/image.ts";
import { humanSize, truncateId } from "./humanize.ts";

const none = "<untagged>";

/** `images --tree`: each image with its platforms below it; `U` marks what containers use. */
export function imageTree(images: readonly ImageSummary[]): string {
  const rows: string[][] = [["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"]];
  for (const image of images) {
    const platforms = image.Manifests ?? [];
    const content = platforms.reduce((sum, { Size }) => sum + Size.Content, 0);
    const total = platforms.reduce((sum, { Size }) => sum + Size.Total, 0);
    const used = (isUsed: boolean): string => (isUsed ? "U" : "");
    const names = image.RepoTags.length === 0 ? [none] : image.RepoTags;
    for (const [index, name] of names.entries()) {
      const isLast = index === names.length - 1;
      rows.push(
        isLast
          ? [name, truncateId(image.Id), humanSize(total), humanSize(content), used(image.Containers > 0)]
          : [name, "", "", "", ""],
      );
    }
    for (const [index, { ID, Size, ImageData }] of platforms.entries()) {
      const branch = index === platforms.length - 1 ? "└─" : "├─";
      rows.push([
        `${branch} ${formatPlatform(ImageData.Platform)}`,
        truncateId(ID),
        humanSize(Size.Total),
        humanSize(Size.Content),
        used(ImageData.Containers.length > 0),
      ]);
    }
    rows.push(["", "", "", "", ""]);
  }
  if (images.length > 0) rows.pop();
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  // Sizes stand right, so that they can be compared.
  const isNumber = (column: number): boolean => column === 2 || column === 3;
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join("   ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}
