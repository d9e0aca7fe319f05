import type { StructShape } from "../../base/template/values.ts";

/**
 * What Go's types of containers, images, networks and volumes say about the JSON of `inspect`: which fields are maps, and
 * which are left out when they are empty and still can be asked for (OpenAPI description of the Engine API; `omitempty`).
 */
export const inspectShape: StructShape = {
  maps: new Set(
    (
      "Annotations Containers Data DriverOpts EndpointsConfig ExposedPorts IPAMOptions Labels LogConfig.Config " +
      "Networks Options PortBindings Ports Services StorageOpt Sysctls Tmpfs Volumes"
    ).split(" "),
  ),
  pointers: new Set(
    (
      "BindOptions ConfigFrom ContainerConfig Descriptor DriverConfig Health Healthcheck IPAMConfig ImageManifestDescriptor " +
      "ImageOptions Init MemorySwappiness OomKillDisable PidsLimit SizeRootFs SizeRw StopTimeout TmpfsOptions " +
      "UsageData VolumeOptions"
    ).split(" "),
  ),
  zeros: {
    Annotations: null,
    ArgsEscaped: false,
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Author: "",
    Comment: "",
    Container: "",
    ContainerConfig: null,
    DockerVersion: "",
    Domainname: "",
    Driver: "",
    Healthcheck: null,
    Health: null,
    Hostname: "",
    Image: "",
    Init: null,
    MacAddress: "",
    Mounts: [],
    Name: "",
    NetworkDisabled: false,
    OnBuild: [],
    OpenStdin: false,
    Parent: "",
    Shell: [],
    SizeRootFs: null,
    SizeRw: null,
    StdinOnce: false,
    StopSignal: "",
    StopTimeout: null,
    StorageOpt: new Map(),
    Sysctls: new Map(),
    Tmpfs: new Map(),
    Tty: false,
    UsageData: null,
    Variant: "",
    VirtualSize: 0,
  },
};

/** As {@link inspectShape}, for containers: their configuration is printed with all of its fields (`{{.Config}}`). */
export const containerShape: StructShape = {
  ...inspectShape,
  zeros: { ...inspectShape.zeros, ExposedPorts: new Map() },
  layouts: {
    Config: (
      "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd " +
      "Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled MacAddress OnBuild Labels StopSignal " +
      "StopTimeout Shell"
    ).split(" "),
  },
};
