import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerSummary, PortSummary } from "../../wire/container.ts";
import type { ImageSummary } from "../../wire/image.ts";
import { containerListing, portList } from "./containers.ts";
import { ellipsis, humanBytes, humanDuration, humanSize, truncateId } from "./humanize.ts";
import { imageListing, imageRows } from "./images.ts";
import { alignTabs } from "./tab-writer.ts";
import { renderListing } from "./table.ts";

const sizes: readonly [bytes: number, text: string][] = [
  [0, "0B"],
  [999, "999B"],
  [1000, "1kB"],
  [1234, "1.23kB"],
  [4_261_502, "4.26MB"],
  [187_000_000, "187MB"],
  [999_950_000, "1e+03MB"],
  [1_200_000_000, "1.2GB"],
];
for (const [bytes, text] of sizes) test(`size ${bytes}`, () => assert.equal(humanSize(bytes), text));

test("memory is shown with binary units", () => {
  assert.equal(humanBytes(16_633_843_712), "15.49GiB");
  assert.equal(humanBytes(512 * 1024 * 1024), "512MiB");
});

const durations: readonly [seconds: number, text: string][] = [
  [0.5, "Less than a second"],
  [1, "1 second"],
  [59, "59 seconds"],
  [61, "About a minute"],
  [120, "2 minutes"],
  [3599, "59 minutes"],
  [3601, "About an hour"],
  [47 * 3600, "47 hours"],
  [48 * 3600, "2 days"],
  [14 * 86_400, "2 weeks"],
  [61 * 86_400, "2 months"],
  [800 * 86_400, "2 years"],
];
for (const [seconds, text] of durations) {
  test(`duration ${seconds}`, () => assert.equal(humanDuration(seconds), text));
}

test("IDs and long texts are cut", () => {
  assert.equal(truncateId(`sha256:${"ab".repeat(32)}`), "abababababab");
  assert.equal(ellipsis("short", 20), "short");
  assert.equal(ellipsis("/docker-entrypoint.sh nginx", 20), "/docker-entrypoint.…");
});

test("columns are as wide as their widest cell, and the last cell widens nothing", () => {
  assert.equal(alignTabs("A\tB\nlonger value\tx\n"), "A              B\nlonger value   x\n");
  assert.equal(alignTabs("ü\tb\n"), "ü         b\n");
  // A line without the cell ends the column.
  assert.equal(alignTabs("long cell here\tb\n\nc\td\n"), "long cell here   b\n\nc         d\n");
});

const ports: readonly [ports: readonly PortSummary[], text: string][] = [
  [[], ""],
  [[{ PrivatePort: 80, Type: "tcp" }], "80/tcp"],
  [
    [
      { IP: "::", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
      { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    ],
    "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
  ],
  [
    [
      { IP: "0.0.0.0", PrivatePort: 9001, PublicPort: 9001, Type: "tcp" },
      { IP: "0.0.0.0", PrivatePort: 9000, PublicPort: 9000, Type: "tcp" },
      { PrivatePort: 443, Type: "tcp" },
    ],
    "443/tcp, 0.0.0.0:9000-9001->9000-9001/tcp",
  ],
  [
    [
      { PrivatePort: 53, Type: "udp" },
      { PrivatePort: 80, Type: "tcp" },
      { PrivatePort: 82, Type: "tcp" },
    ],
    "80/tcp, 53/udp, 82/tcp",
  ],
];
for (const [given, text] of ports) {
  test(`ports ${text === "" ? "none" : text}`, () => assert.equal(portList(given), text));
}

const container: ContainerSummary = {
  Id: "a".repeat(64),
  Names: ["/web", "/other/alias"],
  Image: "nginx:latest",
  ImageID: `sha256:${"1".repeat(64)}`,
  Command: "/docker-entrypoint.sh nginx -g 'daemon off;'",
  Created: Date.now() / 1000 - 90,
  Ports: [],
  Labels: { "com.example.some-label": "x" },
  State: "running",
  Status: "Up About a minute",
  HostConfig: { NetworkMode: "bridge" },
  NetworkSettings: { Networks: {} },
  Mounts: [],
};

test("a table has titles, also for methods and functions over columns", () => {
  const rows = [{ summary: container, isTruncated: true }];
  const format = 'table {{upper .Names}}\\t{{.Command}}\\t{{.Label "com.example.some-label"}}';
  assert.equal(
    renderListing(containerListing, rows, format),
    `NAMES     COMMAND                  some label\nWEB       "/docker-entrypoint.…"   x\n`,
  );
});

test("rows are JSON objects with sorted keys", () => {
  const text = renderListing(containerListing, [{ summary: container, isTruncated: false }], "json");
  const row = JSON.parse(text) as Record<string, string>;
  assert.deepEqual(Object.keys(row), Object.keys(row).toSorted());
  assert.equal(row["Names"], "web,other/alias");
  assert.equal(row["ID"], container.Id);
});

test("an image has a line for each of its names", () => {
  const image = (over: Partial<ImageSummary>): ImageSummary => ({
    Id: `sha256:${"c".repeat(64)}`,
    ParentId: "",
    RepoTags: [],
    RepoDigests: [],
    Created: 0,
    Size: 1,
    SharedSize: -1,
    Labels: null,
    Containers: -1,
    ...over,
  });
  const images = [
    image({ RepoTags: ["a:1", "a:2", "localhost:5000/b:3"], RepoDigests: ["a@sha256:d"] }),
    image({}),
    image({ RepoDigests: ["only@sha256:e"] }),
  ];
  const list = (digests: boolean): string =>
    renderListing(
      imageListing,
      imageRows(images, { digests, isTruncated: true }),
      "{{.Repository}}|{{.Tag}}|{{.Digest}}",
    );
  assert.equal(
    list(false),
    "a|1|<none>\na|2|<none>\nlocalhost:5000/b|3|<none>\n<none>|<none>|<none>\nonly|<none>|<none>\n",
  );
  assert.equal(
    list(true),
    "a|1|sha256:d\na|2|sha256:d\nlocalhost:5000/b|3|<none>\n<none>|<none>|<none>\nonly|<none>|sha256:e\n",
  );
});
