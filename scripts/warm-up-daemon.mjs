/**
 * Answers as a daemon would, on the socket that is its argument: with it the build script lets compose make a project, so
 * that what this takes is compiled. Of what is made it keeps the networks, and the first container of each project. Ends
 * when its standard input does.
 */
import { createServer } from "node:http";

const id = "0".repeat(64);
const kept = [];
const networks = [];
const project = "com.docker.compose.project";
const answers = [
  [/\/_ping$/, ""],
  [/\/images\/.*\/json$/, { Id: `sha256:${id}`, RepoTags: [], RepoDigests: [], Config: {} }],
  [
    /\/containers\/json/,
    (query) => kept.filter(({ Labels }) => query.get("filters").includes(`${project}=${Labels[project]}`)),
  ],
  [/\/containers\/create/, { Id: id, Warnings: [] }],
  [/\/networks$/, networks],
  [/\/networks\/create$/, { Id: id, Warning: "" }],
  [/\/volumes\/create$/, { Name: "data", Labels: null }],
];

/** Keeps the first container of a project. */
function keep(name, { Labels, Image }) {
  if (kept.some((other) => other.Labels[project] === Labels[project])) return;
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
  const parameters = new URLSearchParams(query);
  const body = [];
  request.on("data", (chunk) => body.push(chunk));
  request.on("end", () => {
    if (!path.endsWith("/create") || body.length === 0) return;
    const asked = JSON.parse(Buffer.concat(body).toString());
    if (path.includes("/containers/")) keep(parameters.get("name"), asked);
    if (path.includes("/networks/")) networks.push({ ...asked, Id: id });
  });
  const answer = answers.find(([pattern]) => pattern.test(path))?.[1];
  const value = typeof answer === "function" ? answer(parameters) : answer;
  response.setHeader("Api-Version", "1.51");
  response.setHeader("Content-Type", "application/json");
  if (value === undefined && request.method === "GET") response.statusCode = 404;
  response.end(JSON.stringify(value === undefined || value === "" ? {} : value));
}).listen(process.argv[2], () => process.stdout.write("ready\n"));
process.stdin.resume().on("end", () => process.exit());
