import type { Command } from "../command.ts";
import { listReference, needList, removeList } from "../manifest/lists.ts";

const command: Command = {
  path: "manifest rm",
  usage: "MANIFEST_LIST [MANIFEST_LIST...]",
  short: "Forget lists of images on this machine",
  flags: [],
  args: { min: 1 },
  async run(context, parsed) {
    const references = parsed.positional.map(listReference);
    // All of them or none.
    for (const reference of references) needList(context, reference);
    for (const reference of references) removeList(context, reference);
    return 0;
  },
};

export default command;
