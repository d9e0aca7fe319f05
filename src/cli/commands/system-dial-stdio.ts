import { pipeline } from "node:stream/promises";
import type { Command } from "../command.ts";

const command: Command = {
  path: "system dial-stdio",
  usage: "",
  short: "Join standard input and output with the daemon's socket (for ssh:// addresses)",
  hidden: true,
  flags: [],
  args: { min: 0, max: 0 },
  async run(context) {
    const socket = await context.client.transport.dial();
    // Each direction ends by itself: the daemon still answers when the input has ended.
    const up = pipeline(context.stdin, socket, { end: true }).catch(() => {});
    for await (const chunk of socket as AsyncIterable<Buffer>)
      if (!context.stdout.write(chunk))
        await new Promise<void>((resolve) => void context.stdout.once("drain", resolve));
    socket.destroy();
    context.stdin.destroy();
    await up;
    return 0;
  },
};

export default command;
