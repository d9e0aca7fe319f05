/**
 * Answers as a daemon would, on the socket that is its argument: with it the build script lets compose make a project, so
 * that what this takes is compiled. Of what is made it keeps the first container alone. Ends when its standard input does.
 */
import { createServer } from "node:http";

const id = "0".repeat(64);
const kept = [];
const answers = [
  [/\/_ping$/, ""],
  [/\/images\/.*\/json$/, { Id: `sha256:${id}`, RepoTags: [], RepoDigests: [], Config: {} }],
  [/\/containers\/json/, kept],
  [/\/containers\/create/, { Id: id, Warnings: [] }],
  [/\/networks$/, []],
  [/\/networks\/create$/, { Id: id, Warning: "" }],
  [/\/volumes\/create$/, { Name: "data", Labels: null }],
];

/** Keeps the first container. */
function keep(name, { Labels, Image }) {
  if (kept.length > 0) return;
  const NetworkSettings = { Networks: {} };
  kept.push({
    Id: id,
    Names: [`/${name}`],
    Image,
    ImageID: `sha256:${id}`,
    Labels,
    State: "running",
    NetworkSettings,
  });
}

createServer((request, response) => {
  const [path, query] = request.url.split("?");
  const body = [];
  request.on("data", (chunk) => body.push(chunk));
  if (path.endsWith("/containers/create")) {
    request.on("end", () =>
      keep(new URLSearchParams(query).get("name"), JSON.parse(Buffer.concat(body).toString())),
    );
  }
  const found = answers.find(([pattern]) => pattern.test(path));
  response.setHeader("Api-Version", "1.51");
  response.setHeader("Content-Type", "application/json");
  if (found === undefined && request.method === "GET") response.statusCode = 404;
  response.end(found === undefined || found[1] === "" ? "{}" : JSON.stringify(found[1]));
}).listen(process.argv[2], () => process.stdout.write("ready\n"));
process.stdin.resume().on("end", () => process.exit());
