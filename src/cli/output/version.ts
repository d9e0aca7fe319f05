import type { VersionInfo } from "../../wire/system.ts";
import { GoStruct, mapsFromJson, type GoValue } from "../../base/template/values.ts";

/** What the client says about itself; field names are those of Docker's `version --format json`. */
export interface ClientVersion {
  readonly Platform: { readonly Name: string };
  readonly Version: string;
  readonly ApiVersion: string;
  readonly DefaultAPIVersion: string;
  readonly GitCommit: string;
  /** The runtime that the program is written for; Docker's name for the field. */
  readonly GoVersion: string;
  readonly Os: string;
  readonly Arch: string;
  readonly Context: string;
}

/** The data of `version --format`. */
export function versionData(client: ClientVersion, server: VersionInfo | undefined): GoStruct {
  return new GoStruct("versionInfo", {
    Client: plainStruct(client, { APIVersion: client.ApiVersion }),
    Server: server === undefined ? null : plainStruct(server, { APIVersion: server.ApiVersion }),
  });
}

function plainStruct(value: object, aliases: Readonly<Record<string, GoValue>>): GoStruct {
  const fields = Object.fromEntries(
    Object.entries(value).map(([name, field]): [string, GoValue] => [name, fieldValue(name, field)]),
  );
  return new GoStruct("struct", fields, { ...aliases, BuildTime: "", Experimental: false });
}

function fieldValue(name: string, field: unknown): GoValue {
  if (name === "Platform") return new GoStruct("struct", field as Record<string, GoValue>);
  if (name !== "Components") return mapsFromJson(field);
  return (field as VersionInfo["Components"]).map((component) => {
    return new GoStruct("types.ComponentVersion", {
      ...component,
      Details: mapsFromJson(component.Details ?? null),
    });
  });
}

/** The text of `version`: who the client is, then the daemon and the programs it works with. */
export function versionText(client: ClientVersion, server: VersionInfo | undefined): string {
  const clientRows: Row[] = [
    ["Version", client.Version],
    [
      "API version",
      client.ApiVersion === client.DefaultAPIVersion
        ? client.ApiVersion
        : `${client.ApiVersion} (downgraded from ${client.DefaultAPIVersion})`,
    ],
    ["Node.js version", client.GoVersion],
    ["Git commit", client.GitCommit],
    ["OS/Arch", `${client.Os}/${client.Arch}`],
    ["Context", client.Context],
  ];
  const text = titled("Client", client.Platform.Name) + rowsText(clientRows, 1);
  if (server === undefined) return text;
  let serverText = `\n${titled("Server", server.Platform.Name)}`;
  const components = server.Components.length > 0 ? server.Components : [engineComponent(server)];
  for (const component of components) {
    serverText += ` ${component.Name}:\n${rowsText(componentRows(component), 2)}`;
  }
  return text + serverText;
}

type Row = readonly [label: string, value: string | undefined];

function titled(side: string, platform: string): string {
  return platform === "" ? `${side}:\n` : `${side}: ${platform}\n`;
}

function rowsText(rows: readonly Row[], depth: number): string {
  const indent = " ".repeat(depth);
  return rows
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([label, value]) => `${indent}${`${label}:`.padEnd(19 - depth + 1)}${value}\n`)
    .join("");
}

type Component = VersionInfo["Components"][number];

function engineComponent(server: VersionInfo): Component {
  const { Version, ApiVersion, MinAPIVersion, GitCommit, GoVersion, Os, Arch } = server;
  return {
    Name: "Engine",
    Version,
    Details: { ApiVersion, MinAPIVersion, GitCommit, GoVersion, Os, Arch },
  };
}

const detailLabels: Readonly<Record<string, string>> = {
  GoVersion: "Runtime version",
  GitCommit: "Git commit",
  BuildTime: "Built",
  KernelVersion: "Kernel version",
};

function componentRows({ Version, Details = {} }: Component): Row[] {
  const { ApiVersion, MinAPIVersion, Os, Arch, Experimental, ...others } = Details;
  const rows: Row[] = [["Version", Version]];
  if (ApiVersion !== undefined) {
    rows.push([
      "API version",
      MinAPIVersion === undefined ? ApiVersion : `${ApiVersion} (minimum version ${MinAPIVersion})`,
    ]);
  }
  for (const [key, value] of Object.entries(others)) rows.push([detailLabels[key] ?? key, value]);
  if (Os !== undefined) rows.push(["OS/Arch", `${Os}/${Arch ?? ""}`]);
  if (Experimental !== undefined) rows.push(["Experimental", Experimental]);
  return rows;
}
