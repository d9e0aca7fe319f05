/** Texts of syslog messages as Docker's driver writes them (RFC 3164, RFC 5424; moby, daemon/logger/syslog). */
import { parseRfc3339Ns } from "../../base/time.ts";
import type { LogMessage } from "./message.ts";

export interface SyslogShape {
  readonly format: string;
  /** 0 to 23. */
  readonly facility: number;
  readonly hostname: string;
  readonly tag: string;
  readonly pid: number;
  /** Each message is preceded by its length (RFC 5425, section 4.3). */
  readonly counted: boolean;
}

const severityInfo = 6;
const severityError = 3;
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** The bytes of a message, with a line feed at their end. */
export function syslogMessage(message: LogMessage, shape: SyslogShape): Buffer {
  const { stream, time, data, start, end } = message;
  const { format, facility, hostname, tag, pid, counted } = shape;
  const priority = facility * 8 + (stream === "stderr" ? severityError : severityInfo);
  const head = format.startsWith("rfc5424")
    ? `<${priority}>1 ${time5424(time, format === "rfc5424micro")} ${hostname} ${tag} ${pid} ${tag} - `
    : `<${priority}>${time3164(time)} ${format === "rfc3164" ? `${hostname} ` : ""}${tag}[${pid}]: `;
  const body = Buffer.concat([Buffer.from(head), data.subarray(start, end), Buffer.from("\n")]);
  return counted ? Buffer.concat([Buffer.from(`${body.length} `), body]) : body;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** `Jan _2 15:04:05` in local time. */
function time3164(time: string): string {
  const date = new Date(time);
  const day = String(date.getDate()).padStart(2, " ");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${months[date.getMonth()]} ${day} ${clock}`;
}

function time5424(time: string, withMicroseconds: boolean): string {
  if (!withMicroseconds) return `${time.slice(0, 19)}Z`;
  const micros = ((parseRfc3339Ns(time) ?? 0n) / 1000n) % 1_000_000n;
  return `${time.slice(0, 19)}.${String(micros).padStart(6, "0")}Z`;
}
