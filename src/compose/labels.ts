/** Labels by which Docker Compose 2 knows what it has made (compose 2.26, pkg/api/labels.go). */
const prefix = "com.docker.compose.";

export const labels = {
  project: "com.docker.compose.project",
  service: `${prefix}service`,
  configHash: `${prefix}config-hash`,
  number: `${prefix}container-number`,
  volume: `${prefix}volume`,
  network: `${prefix}network`,
  workingDirectory: `${prefix}project.working_dir`,
  configFiles: `${prefix}project.config_files`,
  environmentFile: `${prefix}project.environment_file`,
  oneOff: `${prefix}oneoff`,
  slug: `${prefix}slug`,
  image: `${prefix}image`,
  dependsOn: `${prefix}depends_on`,
  version: `${prefix}version`,
  replaces: `${prefix}replace`,
} as const;

/** The version of Docker Compose whose projects these are. */
export const composeVersion = "2.26.1";
