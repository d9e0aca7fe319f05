import { ClientError } from "../../client/errors.ts";
import type { RegistryAuth } from "../../wire/registry.ts";
import type { Command, CommandContext } from "../command.ts";
import { findCredentials, serverKey, storeCredentials } from "../credentials.ts";
import { CliError } from "../errors.ts";
import type { ParsedArguments } from "../parser.ts";
import { promptLine, readSecret } from "../prompt.ts";

const command: Command = {
  path: "login",
  usage: "[OPTIONS] [SERVER]",
  short: "Log in to a registry",
  long:
    "Show a user name and a password to a registry, Docker Hub when none is named, and keep them for later pulls and " +
    "pushes: in Docker's config.json, or with the credential helper that it names. Without a name and a password, what " +
    "is kept already is tried again.",
  section: "common",
  flags: [
    {
      name: "password",
      short: "p",
      type: "string",
      help: "Password; everybody can read it in the list of processes, --password-stdin keeps it secret",
    },
    { name: "password-stdin", type: "bool", help: "Read the password from standard input" },
    { name: "username", short: "u", type: "string", help: "User name" },
  ],
  args: { min: 0, max: 1 },
  async run(context, parsed) {
    const key = serverKey(parsed.positional[0] ?? "");
    const given = await givenCredentials(context, parsed);
    const isGiven = given.username !== "" || given.password !== undefined;
    if (!isGiven && (await loginAgain(context, key))) return 0;
    const credentials = { ...(await complete(context, given)), serveraddress: key };
    await loginAndStore(context, key, credentials);
    return 0;
  },
};

interface Given {
  readonly username: string;
  readonly password: string | undefined;
}

async function givenCredentials(context: CommandContext, parsed: ParsedArguments): Promise<Given> {
  const username = parsed.string("username");
  const hasPassword = parsed.changed("password");
  if (parsed.bool("password-stdin")) {
    if (hasPassword)
      throw new CliError("conflicting options: cannot specify both --password and --password-stdin");
    if (username === "") throw new CliError("the --password-stdin option requires --username to be set");
    return { username, password: await readSecret(context) };
  }
  if (hasPassword)
    context.printError("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
  return { username, password: hasPassword ? parsed.string("password") : undefined };
}

/** With what is stored. False when there is nothing, or it is not taken any more. */
async function loginAgain(context: CommandContext, key: string): Promise<boolean> {
  const stored = await findCredentials(context, key);
  if (stored === undefined) return false;
  const who =
    stored.username === undefined || stored.username === "" ? "" : ` [Username: ${stored.username}]`;
  context.printError(`Authenticating with existing credentials...${who}`);
  context.printError("To log in as somebody else, run 'gantry logout' first.");
  try {
    await loginAndStore(context, key, stored);
    return true;
  } catch (error) {
    if (!(error instanceof ClientError) || error.status !== 401) throw error;
    context.printError(`Login did not succeed, error: ${error.message}`);
    return false;
  }
}

async function complete(
  context: CommandContext,
  given: Given,
): Promise<{ username: string; password: string }> {
  const username = given.username || (await promptLine(context, "Username: ", { secret: false })).trim();
  if (username === "") throw new CliError("username is required");
  const password = given.password ?? (await promptLine(context, "Password: ", { secret: true }));
  if (password === "") throw new CliError("password is required");
  return { username, password };
}

async function loginAndStore(context: CommandContext, key: string, credentials: RegistryAuth): Promise<void> {
  const answer = await context.client.registryLogin(credentials);
  const stored = answer.IdentityToken
    ? { ...credentials, password: "", identitytoken: answer.IdentityToken }
    : credentials;
  const file = await storeCredentials(context, key, stored);
  if (file !== undefined)
    context.printError(
      `WARNING! The credentials are stored unencrypted in '${file}'.\n` +
        'A credential helper ("credsStore" in that file) keeps them safer.',
    );
  context.print(`${answer.Status}\n`);
}

export default command;
