/**
 * Answers as a daemon would that has nothing, on the socket that is its argument: with it the build script lets compose
 * make a project, so that what this takes is compiled. Ends when its standard input does.
 */
import { createServer } from "node:http";

const id = "0".repeat(64);
const answers = [
  [/\/_ping$/, ""],
  [/\/images\/.*\/json$/, { Id: `sha256:${id}`, RepoTags: [], RepoDigests: [], Config: {} }],
  [/\/containers\/json/, []],
  [/\/containers\/create/, { Id: id, Warnings: [] }],
  [/\/networks$/, []],
  [/\/networks\/create$/, { Id: id, Warning: "" }],
  [/\/volumes\/create$/, { Name: "data", Labels: null }],
];

createServer((request, response) => {
  request.resume();
  const path = request.url.split("?")[0];
  const found = answers.find(([pattern]) => pattern.test(path));
  response.setHeader("Api-Version", "1.51");
  response.setHeader("Content-Type", "application/json");
  if (found === undefined && request.method === "GET") response.statusCode = 404;
  response.end(found === undefined || found[1] === "" ? "{}" : JSON.stringify(found[1]));
}).listen(process.argv[2], () => process.stdout.write("ready\n"));
process.stdin.resume().on("end", () => process.exit());
