import type { Worker } from "../../client/buildkit/solve.ts";

/** `linux/amd64, linux/386`. */
export function platformWords({ platforms }: Worker): string {
  return platforms
    .map(({ OS, Architecture, Variant }) => [OS, Architecture, Variant].filter(Boolean).join("/"))
    .join(", ");
}
