/** The context that builds are measured with: 5,000 files and 64 MB, five steps. */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { busybox } from "../helpers/images.ts";

export const fileCount = 5_000;
const totalBytes = 64_000_000;

/** Half of the bytes in small files, half in larger ones, in a hundred directories. */
export function makeContext(directory: string): void {
  const large = 50;
  const smallBytes = Math.floor(totalBytes / 2 / (fileCount - large));
  const largeBytes = Math.floor(totalBytes / 2 / large);
  for (let index = 0; index < fileCount; index++) {
    const inner = join(directory, "files", `d${index % 100}`);
    mkdirSync(inner, { recursive: true });
    writeFileSync(join(inner, `f${index}`), randomBytes(index < large ? largeBytes : smallBytes));
  }
  writeFileSync(
    join(directory, "Dockerfile"),
    [
      `FROM ${busybox}`,
      "WORKDIR /app",
      "COPY files/d0 d0/",
      "RUN echo one > /app/one",
      "COPY files files/",
      "RUN find /app -type f | wc -l > /app/count",
      "",
    ].join("\n"),
  );
}
