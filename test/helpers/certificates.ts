/** Certificates for tests that speak TLS. */
import { mustRun } from "./process.ts";

/**
 * An authority (`ca`) with a certificate for a server on 127.0.0.1 (`server`) and one for clients (`client`), and a stranger
 * with one of another authority (`stranger`, `other-ca`): NAME.pem and NAME-key.pem in the directory.
 */
export async function makeCertificates(directory: string): Promise<void> {
  const script = `
    set -e
    cd "$1"
    ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" -keyout "$2-key.pem" -out "$2.pem"; }
    issue() {
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$2-key.pem" -out "$2.csr"
      printf '%s\\n' "$4" > "$2.ext"
      openssl x509 -req -in "$2.csr" -CA "$3.pem" -CAkey "$3-key.pem" -CAcreateserial -days 2 -extfile "$2.ext" -out "$2.pem"
    }
    ca authority ca
    ca stranger other-ca
    issue daemon server ca "subjectAltName=IP:127.0.0.1,DNS:localhost"
    issue client client ca "extendedKeyUsage=clientAuth"
    issue client stranger other-ca "extendedKeyUsage=clientAuth"
    mkdir certs && cp ca.pem certs/ca.pem && cp client.pem certs/cert.pem && cp client-key.pem certs/key.pem`;
  await mustRun(["sh", "-c", `exec 2>/dev/null; ${script}`, "certificates", directory], {
    timeoutMs: 30_000,
  });
}
