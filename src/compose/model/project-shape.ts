/** The keys of a whole file, in the order of compose-go 2.4 (`shape.ts`). */
import { serviceShape } from "./service-shape.ts";
import { each, shape } from "./shape.ts";

const ipamPool = shape([
  ["subnet", "string"],
  ["gateway", "string"],
  ["ip_range", "string"],
  ["aux_addresses", "mapping"],
]);

const networkShape = shape([
  ["name", "string"],
  ["driver", "string"],
  ["driver_opts", "mapping"],
  [
    "ipam",
    {
      always: shape([
        ["driver", "string"],
        ["config", { list: ipamPool }],
        ["options", "mapping"],
      ]),
    },
  ],
  ["external", "bool"],
  ["internal", "bool"],
  ["attachable", "bool"],
  ["labels", "labels"],
  ["enable_ipv4", "optionalBool"],
  ["enable_ipv6", "optionalBool"],
]);

const volumeShape = shape([
  ["name", "string"],
  ["driver", "string"],
  ["driver_opts", "mapping"],
  ["external", "bool"],
  ["labels", "labels"],
]);

const fileObject = shape([
  ...each("string", "name file environment content"),
  ["external", "bool"],
  ["labels", "labels"],
  ["driver", "string"],
  ["driver_opts", "mapping"],
  ["template_driver", "string"],
]);

/** A whole file. */
export const projectShape = shape([
  ["name", "string"],
  ["services", { map: serviceShape }, { keep: true }],
  ["networks", { map: networkShape }],
  ["volumes", { map: volumeShape }],
  ["secrets", { map: fileObject }],
  ["configs", { map: fileObject }],
]);
