/**
 * A small name server as a program: `dns-server.ts ADDRESS LABEL`. It knows `example.test` (A 192.0.2.1, TXT with its label
 * and the protocol), `big.example.test` (a TXT too large for a datagram) and an SRV record; `refuse.test` it refuses,
 * `silent.test` it does not answer, everything else does not exist. Prints a line for every query.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { type Answer, decode, encode } from "dns-packet";

const [address = "", label = ""] = process.argv.slice(2);
const NXDOMAIN = 3;
const REFUSED = 5;
const TRUNCATED = 1 << 9;

function answer(message: Buffer, protocol: string): Buffer | undefined {
  const query = decode(message);
  const question = query.questions![0]!;
  const { name, type } = question;
  console.log(`${protocol} ${type} ${name}`);
  if (name === "silent.test") return undefined;
  const records: Answer[] = [];
  let code = 0;
  if (name === "example.test" && type === "A") records.push({ type, name, ttl: 5, data: "192.0.2.1" });
  else if (name === "example.test" && type === "TXT")
    records.push({ type, name, ttl: 5, data: `${label} ${protocol}` });
  else if (name === "big.example.test") {
    if (protocol === "udp") code = TRUNCATED;
    else records.push({ type: "TXT", name, ttl: 5, data: Array.from({ length: 8 }, () => "x".repeat(250)) });
  } else if (name === "_ldap._tcp.example.test")
    records.push({
      type: "SRV",
      name,
      ttl: 5,
      data: { port: 389, target: "example.test", priority: 1, weight: 2 },
    });
  else if (name === "refuse.test") code = REFUSED;
  else if (name !== "example.test") code = NXDOMAIN;
  return encode({
    type: "response",
    id: query.id ?? 0,
    flags: code,
    questions: [question],
    answers: records,
  });
}

const udp = createSocket("udp4");
udp.on("message", (message, from) => {
  const bytes = answer(message, "udp");
  if (bytes !== undefined) udp.send(bytes, from.port, from.address);
});
const tcp = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    const bytes = answer(chunk.subarray(2), "tcp");
    if (bytes === undefined) return;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    socket.end(Buffer.concat([length, bytes]));
  });
});
udp.bind(53, address, () => tcp.listen(53, address, () => console.log("listening")));
