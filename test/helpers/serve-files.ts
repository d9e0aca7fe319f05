/**
 * Serves the files of a directory over HTTP: `node serve-files.ts DIRECTORY [AUTHORIZATION]`; prints its port. With the
 * value of a header only those who show it get files.
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";

const [, , directory = "", authorization] = process.argv;
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  if (authorization !== undefined && request.headers.authorization !== authorization) {
    response.writeHead(401, { "WWW-Authenticate": 'Basic realm="files"' }).end();
    return;
  }
  readFile(join(directory, normalize(decodeURIComponent(pathname)))).then(
    (data) => response.end(data),
    () => response.writeHead(404).end(),
  );
});
server.listen(0, "127.0.0.1", () => console.log(String((server.address() as AddressInfo).port)));
