import { CliError } from "../../errors.ts";
import { drawServices, vizFlags } from "../alpha/viz.ts";
import { composeCommand } from "../app.ts";

const publishFlags = ["oci-version", "resolve-image-digests"];

export default composeCommand({
  name: "alpha",
  offline: true,
  usage: "viz [OPTIONS]\n       gantry compose alpha publish [OPTIONS] REPOSITORY",
  short: "Draw the services, or publish the files in a registry",
  long:
    "Docker Compose's experimental commands. `viz` draws the services and what they depend on, in graphviz's language. " +
    "`publish` pushes the images that are built, and then the compose files as they are, for `-f oci://REPOSITORY`.",
  examples: [
    ["gantry compose alpha viz --ports | dot -Tsvg > services.svg", "a picture of the services"],
    ["gantry compose alpha publish registry.example.com/shop:1", "the files in a registry"],
    ["gantry compose -f oci://registry.example.com/shop:1 up -d", "the application out of it"],
  ],
  args: { min: 1, max: 2 },
  flags: [
    { name: "image", type: "bool", help: "viz: show the images, too" },
    {
      name: "indentation-size",
      type: "int",
      default: 1,
      help: "viz: number of tabs or spaces to indent by",
    },
    { name: "networks", type: "bool", help: "viz: show the networks, too" },
    {
      name: "oci-version",
      type: "string",
      placeholder: "VERSION",
      help: "publish: form of the manifest, 1.0 or 1.1; what the registry takes unless given",
    },
    { name: "ports", type: "bool", help: "viz: show the ports, too" },
    {
      name: "resolve-image-digests",
      type: "bool",
      help: "publish: add a file that names images by what their tags are in the registry now",
    },
    { name: "spaces", type: "bool", help: "viz: indent by spaces" },
  ],
  async run(app, parsed) {
    const [name = "", ...rest] = parsed.positional;
    const isPublish = name === "publish";
    if (name !== "viz" && !isPublish)
      throw new CliError(`unknown command: compose alpha ${name}: viz and publish are there`, 1);
    const foreign = (isPublish ? vizFlags : publishFlags).find((flag) => parsed.changed(flag));
    if (foreign !== undefined) throw new CliError(`unknown flag: --${foreign}`, 1);
    const wanted = isPublish ? 1 : 0;
    if (rest.length !== wanted)
      throw new CliError(`compose alpha ${name} accepts ${wanted} arg(s), received ${rest.length}`, 1);
    if (!isPublish) return drawServices(app, parsed);
    const { publish } = await import("../alpha/publish.ts");
    return await publish(app, rest[0]!, {
      version: parsed.string("oci-version"),
      withDigests: parsed.bool("resolve-image-digests"),
    });
  },
});
