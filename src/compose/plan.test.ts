import { deepEqual, equal, match, throws } from "node:assert/strict";
import { describe, it } from "node:test";
import type { ContainerSummary } from "../wire/container.ts";
import type { ImageInspect } from "../wire/image.ts";
import { observe, type Observed } from "./engine.ts";
import { labels } from "./labels.ts";
import { serviceHash } from "./model/service-hash.ts";
import { emptyProject, type Project, type Service } from "./model/project.ts";
import { planLines, planProject, type Observation, type PlanOptions, type ServicePlan } from "./plan.ts";

function project(services: Record<string, Service>, more: Partial<Project> = {}): Project {
  return {
    ...emptyProject("shop"),
    directory: "/shop",
    files: ["/shop/compose.yaml"],
    services,
    ...more,
  };
}

/** A container as a run before would have left it. */
function container(
  service: string,
  number: number,
  definition: Service,
  more: Record<string, string> = {},
): Observed {
  const name = `shop-${service}-${number}`;
  return observe({
    Id: `id-of-${name}`.padEnd(64, "0"),
    Names: [`/${name}`],
    State: "running",
    Labels: {
      [labels.project]: "shop",
      [labels.service]: service,
      [labels.number]: String(number),
      [labels.configHash]: serviceHash(definition),
      [labels.image]: "sha256:one",
      ...more,
    },
  } as unknown as ContainerSummary);
}

const images = new Map([["image", { Id: "sha256:one" } as ImageInspect]]);
const nothing: Observation = { containers: [], networks: new Map(), volumes: new Map(), images };
const usual: PlanOptions = {
  services: [],
  recreate: "diverged",
  recreateDependencies: "diverged",
  removeOrphans: false,
  renewVolumes: false,
};

/** What becomes of services, as words. */
function outcome(plans: readonly ServicePlan[]): Record<string, string> {
  return Object.fromEntries(
    plans.map(({ name, keep, create, recreate, remove }) => [
      name,
      [
        ...keep.map((each) => `keep ${each.number}`),
        ...recreate.map((each) => `recreate ${each.number} (${each.why})`),
        ...create.map((each) => `create ${each.number}`),
        ...remove.map((each) => `remove ${each.number}`),
      ].join(", "),
    ]),
  );
}

const service: Service = { image: "image" };

/** A service that depends on another. */
const needs = (name: string): Service => ({
  ...service,
  depends_on: { [name]: { condition: "service_started", required: true } },
});

describe("planProject", () => {
  const cases: readonly (readonly [
    what: string,
    services: Record<string, Service>,
    containers: readonly Observed[],
    options: Partial<PlanOptions>,
    expected: Record<string, string>,
  ])[] = [
    ["makes what is not there", { a: service }, [], {}, { a: "create 1" }],
    ["keeps what is as it should be", { a: service }, [container("a", 1, service)], {}, { a: "keep 1" }],
    [
      "keeps what was built from another place",
      { a: { ...service, build: { context: "/x" } } },
      [container("a", 1, service)],
      {},
      { a: "keep 1" },
    ],
    [
      "makes anew what says something else",
      { a: { ...service, hostname: "h" } },
      [container("a", 1, service)],
      {},
      { a: "recreate 1 (its configuration has changed)" },
    ],
    [
      "makes anew what has another image",
      { a: service },
      [container("a", 1, service, { [labels.image]: "sha256:old" })],
      {},
      { a: "recreate 1 (its image has changed)" },
    ],
    [
      "leaves what has changed when it is told to",
      { a: { ...service, hostname: "h" } },
      [container("a", 1, service)],
      { recreate: "never" },
      { a: "keep 1" },
    ],
    [
      "makes everything anew when it is told to",
      { a: service },
      [container("a", 1, service)],
      { recreate: "force" },
      { a: "recreate 1 (forced)" },
    ],
    [
      "leaves dependencies alone that were not asked for",
      { a: service, b: service },
      [container("a", 1, service), container("b", 1, service)],
      { services: ["a"], recreate: "force" },
      { a: "recreate 1 (forced)", b: "keep 1" },
    ],
    [
      "numbers on from the highest",
      { a: { ...service, scale: 3 } },
      [container("a", 2, service)],
      {},
      { a: "keep 2, create 3, create 4" },
    ],
    [
      "takes away the last ones",
      { a: { ...service, scale: 1 } },
      [container("a", 1, service), container("a", 2, service)],
      {},
      { a: "keep 1, remove 2" },
    ],
    [
      "takes away those first that would be made anew",
      { a: { ...service, scale: 1 } },
      [container("a", 1, { image: "other" }), container("a", 2, service)],
      {},
      { a: "keep 2, remove 1" },
    ],
    [
      "makes anew who depends on what is made anew, and who depends on those",
      { a: { ...service, hostname: "h" }, b: needs("a"), c: needs("b"), d: service },
      [
        container("a", 1, service),
        container("b", 1, needs("a")),
        container("c", 1, needs("b")),
        container("d", 1, service),
      ],
      {},
      {
        a: "recreate 1 (its configuration has changed)",
        b: "recreate 1 (a is made anew)",
        c: "recreate 1 (b is made anew)",
        d: "keep 1",
      },
    ],
    [
      "leaves dependents of what is made for the first time as they are",
      { a: service, b: needs("a") },
      [container("b", 1, needs("a"))],
      {},
      { a: "create 1", b: "keep 1" },
    ],
    [
      "follows a container whose network is shared",
      { a: { ...service, hostname: "h" }, b: { ...service, network_mode: "service:a" } },
      [
        container("a", 1, service),
        container("b", 1, { ...service, network_mode: `container:${container("a", 1, service).id}` }),
      ],
      {},
      { a: "recreate 1 (its configuration has changed)", b: "recreate 1 (a is made anew)" },
    ],
    [
      "knows a shared network by the container's id",
      { a: service, b: { ...service, network_mode: "service:a" } },
      [
        container("a", 1, service),
        container("b", 1, { ...service, network_mode: `container:${container("a", 1, service).id}` }),
      ],
      {},
      { a: "keep 1", b: "keep 1" },
    ],
    [
      "does not count containers of run",
      { a: service },
      [container("a", 1, service, { [labels.oneOff]: "True" })],
      {},
      { a: "create 1" },
    ],
  ];
  for (const [what, services, containers, options, expected] of cases) {
    it(what, () => {
      const plan = planProject(project(services), { ...nothing, containers }, { ...usual, ...options });
      deepEqual(outcome(plan.services), expected);
    });
  }

  it("tells of orphans, and takes them away when it is told to", () => {
    const seen = { ...nothing, containers: [container("gone", 1, service)] };
    const warned = planProject(project({ a: service }), seen, usual);
    match(warned.warnings.join(), /Found orphan containers \(\[shop-gone-1\]\)/);
    const removing = planProject(project({ a: service }), seen, { ...usual, removeOrphans: true });
    deepEqual(removing.warnings, []);
    equal(removing.orphans[0]!.name, "shop-gone-1");
  });

  it("makes networks and volumes that are not there, and refuses external ones that are missing", () => {
    const whole = project(
      { a: service },
      { networks: { net: { name: "shop_net" } }, volumes: { data: { name: "shop_data" } } },
    );
    const plan = planProject(whole, nothing, usual);
    deepEqual([plan.networks, plan.volumes], [["net"], ["data"]]);
    deepEqual(planLines(plan, whole), [
      "Network shop_net  create",
      "Volume shop_data  create",
      "Container shop-a-1  create",
    ]);
    const external = { name: "theirs", external: true };
    throws(
      () => planProject(project({}, { networks: { n: external } }), nothing, usual),
      /declared as external, but could not be found/,
    );
    throws(
      () => planProject(project({}, { volumes: { v: external } }), nothing, usual),
      /external volume "theirs" not found/,
    );
  });

  it("uses a network of somebody else with a warning, and refuses one of another key", () => {
    const whole = project({ a: service }, { networks: { net: { name: "shop_net" } } });
    const seen = (own: Record<string, string>): Observation => ({
      ...nothing,
      networks: new Map([["shop_net", { id: "1", labels: own }]]),
    });
    const plan = planProject(whole, seen({}), usual);
    deepEqual(plan.networks, []);
    match(plan.warnings.join(), /exists but was not created by compose/);
    throws(
      () => planProject(whole, seen({ [labels.project]: "shop", [labels.network]: "other" }), usual),
      /incorrect label com\.docker\.compose\.network set to "other"/,
    );
  });
});
