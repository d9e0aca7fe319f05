/** Serves the files of a directory over HTTP: `node serve-files.ts DIRECTORY`; prints its port. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";

const directory = process.argv[2]!;
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  readFile(join(directory, normalize(decodeURIComponent(pathname)))).then(
    (data) => response.end(data),
    () => response.writeHead(404).end(),
  );
});
server.listen(0, "127.0.0.1", () => console.log(String((server.address() as AddressInfo).port)));
