/**
 * One DNS query as a program, for running inside a network namespace: `dns-ask.ts udp|tcp SERVER TYPE NAME [BYTES]`. Prints
 * what came back as JSON: `{code, flags, answers}`, or `{"error"}`. BYTES is the size that EDNS announces.
 */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { decode, encode, type RecordType } from "dns-packet";

const [protocol, server = "", type, name = "", bytes] = process.argv.slice(2);
const query = encode({
  type: "query",
  id: 1 + Math.floor(Math.random() * 65_000),
  flags: 1 << 8,
  questions: [{ type: type as RecordType, name }],
  ...(bytes && {
    additionals: [
      {
        type: "OPT",
        name: ".",
        udpPayloadSize: Number(bytes),
        flags: 0,
        flag_do: false,
        extendedRcode: 0,
        ednsVersion: 0,
        options: [],
      },
    ],
  }),
});

/** Texts of a TXT record with commas between them. */
function textOf(data: unknown): string {
  return typeof data === "string" ? data : Array.isArray(data) ? data.join(",") : JSON.stringify(data);
}

function show(message: Buffer): void {
  const packet = decode(message);
  const answers = (packet.answers ?? []).map((answer) => ({
    type: answer.type,
    name: "name" in answer ? answer.name : "",
    ttl: "ttl" in answer ? answer.ttl : 0,
    data: "data" in answer ? textOf(answer.data) : "",
  }));
  console.log(JSON.stringify({ code: message[3]! & 0xf, truncated: packet.flag_tc, answers }));
  process.exit(0);
}

function fail(error: Error): void {
  console.log(JSON.stringify({ error: error.message }));
  process.exit(1);
}

setTimeout(() => fail(new Error("no answer")), 30_000);
if (protocol === "udp") {
  const socket = createSocket("udp4");
  socket.on("message", show);
  socket.on("error", fail);
  socket.connect(53, server, () => socket.send(query));
} else {
  const socket = connect(53, server);
  let received: Buffer = Buffer.alloc(0);
  socket.on("error", fail);
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) show(received.subarray(2));
  });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(query.length);
  socket.write(Buffer.concat([length, query]));
}
