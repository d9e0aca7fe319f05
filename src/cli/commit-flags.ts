import type { FlagSpec } from "./flags.ts";

/** What both `commit`s say of the image. */
export const commitFlags = {
  author: {
    name: "author",
    short: "a",
    type: "string",
    help: 'Author (such as "John Doe <john@example.com>")',
  },
  change: {
    name: "change",
    short: "c",
    type: "list",
    placeholder: "INSTRUCTION",
    help: "Apply a Dockerfile instruction to the image's configuration",
  },
  message: { name: "message", short: "m", type: "string", help: "What this image is about" },
  pause: { name: "pause", short: "p", type: "bool", default: true, help: "Freeze the container meanwhile" },
} as const satisfies Readonly<Record<string, FlagSpec>>;
