import { randomInt } from "node:crypto";
import { invalidArgument } from "../base/errors.ts";

const adjectives = (
  "able amber ample azure brisk bright calm candid clever copper coral crisp daring deep eager early fair fleet fond " +
  "gentle glad golden grand green hardy honest humble jolly keen kind light lively loyal lucid merry mild modest neat " +
  "nimble noble patient plain polite proud quick quiet rapid ready robust royal rustic salty sharp silent silver smart " +
  "snug sober solid spry stable steady still stout sturdy sunny swift tame tidal tidy trim true trusty upbeat vivid warm wise witty"
).split(" ");
const nouns = (
  "anchor albatross barge beacon bollard bosun buoy cable capstan cargo channel clipper coaster cormorant cove crane current " +
  "cutter dock dory drifter eddy estuary ferry fjord frigate galley gannet gull harbour hawser heron hoist hull inlet jetty " +
  "kayak keel ketch lagoon lantern lighter lock lugger mainsail mast mooring narrows oar osprey otter paddle pelican pier pilot " +
  "plover porpoise puffin quay raft reef rigging rudder sandpiper schooner sextant shoal skiff slipway sloop sounding spar spray " +
  "starboard stevedore strait tern tide tiller trawler tugboat wharf winch windlass yawl"
).split(" ");

/** A random readable name, `brisk_heron`; a digit is added when the first tries are taken. */
export function generateName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${adjectives[randomInt(adjectives.length)]}_${nouns[randomInt(nouns.length)]}${attempt > 2 ? randomInt(10 ** (attempt - 2)) : ""}`;
    if (!isTaken(name)) return name;
  }
}

/** Checks and normalises a name that a user gave; a leading slash is dropped. Throws `invalidArgument` with Docker's words. */
export function checkName(name: string): string {
  const bare = name.replace(/^\//, "");
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(bare))
    throw invalidArgument(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  return bare;
}
