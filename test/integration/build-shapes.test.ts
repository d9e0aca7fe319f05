/**
 * Dockerfiles of well-known public shapes, one for each language's habits, on a Debian base with packages from its mirror: each
 * is built with `gantry build`, and its image runs. Those that fetch hundreds of megabytes run with GANTRY_TEST_SHAPES=all.
 */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { makeContext, type TestFile } from "../helpers/build.ts";
import { flavour } from "../helpers/daemon.ts";
import { debian, ensureDebian } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";
import { realHost } from "../helpers/test-host.ts";

const isMirrorThere = await fetch("http://deb.debian.org/debian/dists/bookworm/Release", {
  method: "HEAD",
  signal: AbortSignal.timeout(20_000),
}).then(
  ({ ok }) => ok,
  () => false,
);
const skip = flavour === "docker" || !isMirrorThere ? "needs gantry and Debian's mirror" : false;
const isHeavy = process.env["GANTRY_TEST_SHAPES"] === "all" ? false : "only with GANTRY_TEST_SHAPES=all";

/** Packages are fetched once for all of these builds. */
const apt = (packages: string): string =>
  "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked " +
  `rm -f /etc/apt/apt.conf.d/docker-clean && apt-get -o Acquire::Retries=5 update -qq && apt-get -o Acquire::Retries=5 install -qq -y --no-install-recommends ${packages}`;

interface Shape {
  readonly name: string;
  readonly dockerfile: readonly string[];
  readonly files?: Readonly<Record<string, TestFile>>;
  readonly args?: readonly string[];
  /** What the image writes when it runs as it is. */
  readonly output: string | RegExp;
  readonly isHeavy?: true;
}

const shapes: readonly Shape[] = [
  {
    name: "PHP: sources on an interpreter, with settings of their own",
    dockerfile: [
      `FROM ${debian}`,
      apt("php-cli"),
      "WORKDIR /usr/src/app",
      "COPY php.ini /etc/php/8.2/cli/conf.d/99-app.ini",
      "COPY . .",
      'CMD ["php", "index.php"]',
    ],
    files: {
      "php.ini": "memory_limit = 77M\n",
      "index.php": '<?php echo "limit ", ini_get("memory_limit"), "\\n";\n',
    },
    output: "limit 77M",
  },
  {
    name: "Python: wheels are made in one stage and installed from a directory in another",
    dockerfile: [
      `FROM ${debian} AS base`,
      apt("python3 python3-pip"),
      "ENV PIP_NO_INDEX=1 PIP_BREAK_SYSTEM_PACKAGES=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore",
      "FROM base AS wheels",
      apt("python3-setuptools python3-wheel"),
      "COPY greeter /src/greeter",
      "RUN --mount=type=cache,target=/root/.cache/pip pip wheel -q --no-build-isolation --wheel-dir /wheels /src/greeter",
      "FROM base",
      "WORKDIR /app",
      "COPY requirements.txt .",
      "RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels pip install -q --find-links /wheels -r requirements.txt",
      "COPY main.py .",
      "RUN test ! -e /wheels/greeter-1.2-py3-none-any.whl",
      'ENTRYPOINT ["python3", "main.py"]',
      'CMD ["world"]',
    ],
    files: {
      "greeter/setup.py":
        'from setuptools import setup\nsetup(name="greeter", version="1.2", py_modules=["greeter"])\n',
      "greeter/greeter.py": "def greet(name):\n    return f'hello {name}'\n",
      "requirements.txt": "greeter==1.2\n",
      "main.py": "import sys, greeter\nprint(greeter.greet(sys.argv[1]))\n",
    },
    output: "hello world",
  },
  {
    name: "an init as entry point, which hands signals on and reaps",
    dockerfile: [
      `FROM ${debian}`,
      apt("tini"),
      'ENTRYPOINT ["tini", "--"]',
      'CMD ["sh", "-c", "cat /proc/1/comm; echo $$"]',
    ],
    output: /^tini\n\d+$/,
  },
  {
    name: "a base with ONBUILD that builds what stands on it",
    dockerfile: [
      `FROM ${debian} AS onbuild`,
      "WORKDIR /usr/src/app",
      "ONBUILD ARG MODE=production",
      "ONBUILD ENV MODE=$MODE",
      "ONBUILD COPY package.list ./",
      "ONBUILD RUN while read name; do touch have-$name; done < package.list",
      "ONBUILD COPY . .",
      "FROM onbuild",
      "CMD echo $MODE && ls",
    ],
    files: { "package.list": "left\nright\n", app: "" },
    args: ["--build-arg", "MODE=test"],
    output: "test\nDockerfile\napp\nhave-left\nhave-right\npackage.list",
  },
  {
    name: "locales, a time zone and an environment for them",
    isHeavy: true,
    dockerfile: [
      `FROM ${debian}`,
      "ENV DEBIAN_FRONTEND=noninteractive",
      apt("locales tzdata") +
        " && sed -i 's/# de_DE.UTF-8/de_DE.UTF-8/' /etc/locale.gen && locale-gen > /dev/null && ln -sf /usr/share/zoneinfo/Europe/Berlin /etc/localtime",
      "ENV LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8",
      "CMD date -d @0 '+%A %Z'",
    ],
    output: "Donnerstag CET",
  },
  {
    name: "nothing but one program and certificates, as nobody",
    dockerfile: [
      `FROM ${debian} AS build`,
      apt("ca-certificates busybox-static"),
      "RUN echo 'app:x:65532:65532::/:/sbin/nologin' > /passwd && mkdir /empty && chmod 1777 /empty",
      "FROM scratch",
      "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
      "COPY --from=build /passwd /etc/passwd",
      "COPY --from=build --link --chmod=0755 /bin/busybox /busybox",
      "COPY --from=build /empty /tmp",
      "USER app",
      'ENTRYPOINT ["/busybox"]',
      'CMD ["sh", "-c", "/busybox id -u; /busybox head -n 1 /etc/ssl/certs/ca-certificates.crt; /busybox ls /"]',
    ],
    output: /^65532\n-----BEGIN CERTIFICATE-----\n(?:.*\n)*busybox\n(?:.*\n)*etc\n/,
  },
  {
    name: "a case over the target's platform picks what is taken",
    dockerfile: [
      `FROM --platform=$BUILDPLATFORM ${debian} AS fetch`,
      "ARG TARGETOS TARGETARCH TARGETVARIANT BUILDARCH",
      'RUN case "$TARGETOS/$TARGETARCH" in linux/amd64) a=x86_64 ;; linux/arm64) a=aarch64 ;; *) exit 9 ;; esac; echo "$a$TARGETVARIANT" > /arch; test $BUILDARCH = $TARGETARCH',
      `FROM ${debian}`,
      "COPY --from=fetch /arch /arch",
      'CMD ["sh", "-c", "test $(uname -m) = $(cat /arch) && echo same"]',
    ],
    output: "same",
  },
  {
    name: "a secret of a package registry is there while packages come, and no longer",
    dockerfile: [
      "# syntax=docker/dockerfile:1",
      `FROM ${debian}`,
      "RUN --mount=type=secret,id=netrc,target=/root/.netrc,required grep -q password /root/.netrc && echo fetched > /fetched",
      'RUN --mount=type=secret,id=token,env=TOKEN test -n "$TOKEN" && printenv TOKEN | wc -c >> /fetched',
      'CMD cat /fetched; ls -A /root/.netrc 2> /dev/null; test -z "$TOKEN"',
    ],
    files: { netrc: "machine registry login me password secret\n" },
    args: ["--secret", "id=netrc,src=CONTEXT/netrc", "--secret", "id=token,env=SHAPE_TOKEN"],
    output: "fetched\n6",
  },
  {
    name: "an entry point that drops its rights after preparing a volume",
    dockerfile: [
      `FROM ${debian}`,
      "RUN useradd --system --uid 999 db && install -d -o db -g db /var/lib/db",
      "COPY --chmod=755 <<'EOF' /usr/local/bin/docker-entrypoint.sh",
      "#!/bin/sh",
      "set -e",
      'if [ "$(id -u)" = 0 ]; then chown -R db:db /var/lib/db; exec setpriv --reuid=db --regid=db --clear-groups "$0" "$@"; fi',
      'exec "$@"',
      "EOF",
      "VOLUME /var/lib/db",
      "STOPSIGNAL SIGINT",
      "HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 CMD test -w /var/lib/db",
      'ENTRYPOINT ["docker-entrypoint.sh"]',
      "EXPOSE 5432",
      'CMD ["sh", "-c", "id -un && touch /var/lib/db/file && stat -c %U /var/lib/db/file"]',
    ],
    output: "db\ndb",
  },
  {
    name: "a monorepo: manifests first with their directories, tests and documents left out",
    dockerfile: [
      "# syntax=docker/dockerfile:1.7-labs",
      `FROM ${debian} AS deps`,
      "WORKDIR /src",
      "COPY --parents packages/*/manifest ./",
      "RUN cat packages/*/manifest > lock",
      "FROM deps",
      "COPY --exclude=**/*.test --exclude=docs . .",
      "CMD find . -type f | sort && cat lock",
    ],
    files: {
      ".dockerignore": "Dockerfile\n.dockerignore\n",
      "packages/a/manifest": "a\n",
      "packages/a/x.test": "",
      "packages/b/manifest": "b\n",
      "packages/b/x": "",
      "docs/page": "",
    },
    output: "./lock\n./packages/a/manifest\n./packages/b/manifest\n./packages/b/x\na\nb",
  },
  {
    name: "Ruby: bundler installs from gems that are kept with the sources",
    isHeavy: true,
    dockerfile: [
      `FROM ${debian} AS build`,
      apt("ruby bundler"),
      "WORKDIR /gem",
      "COPY greeter.gemspec .",
      "COPY greeter.rb lib/greeter.rb",
      "RUN gem build -q greeter.gemspec",
      "WORKDIR /app",
      "COPY Gemfile .",
      "RUN mkdir -p vendor/cache && mv /gem/greeter-1.0.gem vendor/cache/",
      "RUN bundle config set --local path vendor/bundle && bundle install --local --quiet",
      "COPY main.rb .",
      'CMD ["bundle", "exec", "ruby", "main.rb"]',
    ],
    files: {
      "greeter.gemspec":
        'Gem::Specification.new { |s| s.name = "greeter"; s.version = "1.0"; s.summary = "x"; s.authors = ["x"]; s.files = ["lib/greeter.rb"] }\n',
      "greeter.rb": 'module Greeter; def self.greet = "hello from ruby"; end\n',
      Gemfile: 'source "https://rubygems.org"\ngem "greeter", "1.0"\n',
      "main.rb": 'require "greeter"\nputs Greeter.greet\n',
    },
    output: "hello from ruby",
  },
  {
    name: "Node: npm ci from the lock file, without what only development needs",
    isHeavy: true,
    dockerfile: [
      `FROM ${debian} AS base`,
      apt("nodejs npm"),
      "WORKDIR /usr/src/app",
      "COPY vendor vendor",
      "COPY package.json package-lock.json ./",
      "RUN --mount=type=cache,target=/root/.npm npm ci --offline --omit=dev --no-audit --no-fund",
      "COPY . .",
      "RUN test ! -e node_modules/only-dev",
      `FROM ${debian}`,
      apt("nodejs"),
      "ENV NODE_ENV=production",
      "WORKDIR /usr/src/app",
      "RUN groupadd node && useradd -g node node",
      "COPY --from=base --chown=node:node /usr/src/app .",
      "USER node",
      'CMD ["node", "server.js"]',
    ],
    files: {
      "package.json": JSON.stringify({
        name: "app",
        version: "1.0.0",
        dependencies: { greeter: "file:vendor/greeter" },
        devDependencies: { "only-dev": "file:vendor/only-dev" },
      }),
      "package-lock.json": JSON.stringify({
        name: "app",
        version: "1.0.0",
        lockfileVersion: 3,
        packages: {
          "": {
            name: "app",
            version: "1.0.0",
            dependencies: { greeter: "file:vendor/greeter" },
            devDependencies: { "only-dev": "file:vendor/only-dev" },
          },
          "node_modules/greeter": { resolved: "vendor/greeter", link: true },
          "node_modules/only-dev": { resolved: "vendor/only-dev", link: true, dev: true },
          "vendor/greeter": { version: "1.0.0" },
          "vendor/only-dev": { version: "1.0.0", dev: true },
        },
      }),
      "vendor/greeter/package.json": '{"name":"greeter","version":"1.0.0","main":"index.js"}',
      "vendor/greeter/index.js": 'module.exports = () => "hello from node";\n',
      "vendor/only-dev/package.json": '{"name":"only-dev","version":"1.0.0"}',
      "server.js": 'console.log(require("greeter")(), process.env.NODE_ENV, process.getuid() !== 0);\n',
      ".dockerignore": "node_modules\n",
    },
    output: "hello from node production true",
  },
  {
    name: "Java: compiled and packed in one stage, run by a runtime in another",
    isHeavy: true,
    dockerfile: [
      `FROM ${debian} AS build`,
      apt("default-jdk-headless"),
      "WORKDIR /build",
      "COPY src src",
      "RUN javac -d classes src/app/*.java && jar --create --file app.jar --main-class app.Main -C classes .",
      `FROM ${debian}`,
      apt("default-jre-headless"),
      "ARG JAVA_OPTS=-Xmx64m",
      "ENV JAVA_OPTS=${JAVA_OPTS}",
      "WORKDIR /opt/app",
      "COPY --from=build /build/app.jar app.jar",
      "EXPOSE 8080",
      "ENTRYPOINT exec java $JAVA_OPTS -jar app.jar",
    ],
    files: {
      "src/app/Main.java":
        'package app;\npublic class Main { public static void main(String[] a) { System.out.println("hello from java " + Runtime.getRuntime().maxMemory() / 1048576); } }\n',
    },
    output: /^hello from java 6\d$/,
  },
  {
    name: "Go: modules first, a static program with its version, on nothing",
    isHeavy: true,
    dockerfile: [
      `FROM ${debian} AS build`,
      apt("golang-go"),
      "WORKDIR /src",
      "COPY go.mod ./",
      "RUN --mount=type=cache,target=/root/go/pkg/mod go mod download",
      "COPY . .",
      "ARG VERSION=dev",
      'RUN --mount=type=cache,target=/root/.cache/go-build CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/app .',
      "FROM scratch",
      "COPY --from=build /out/app /app",
      'ENTRYPOINT ["/app"]',
    ],
    files: {
      "go.mod": "module example.org/app\n\ngo 1.19\n",
      "main.go":
        'package main\n\nimport "fmt"\n\nvar version string\n\nfunc main() { fmt.Println("hello from go", version) }\n',
    },
    args: ["--build-arg", "VERSION=1.4"],
    output: "hello from go 1.4",
  },
  {
    name: "Rust: dependencies are compiled before the sources come",
    isHeavy: true,
    dockerfile: [
      `FROM ${debian} AS build`,
      apt("cargo rustc gcc libc6-dev"),
      "WORKDIR /src",
      "COPY Cargo.toml Cargo.lock ./",
      "COPY greeter greeter",
      "RUN mkdir src && echo 'fn main() {}' > src/main.rs && cargo build --release --offline --quiet && rm -rf src",
      "COPY src src",
      "RUN touch src/main.rs && cargo build --release --offline --quiet",
      `FROM ${debian}`,
      "COPY --from=build /src/target/release/app /usr/local/bin/app",
      'CMD ["app"]',
    ],
    files: {
      "Cargo.toml":
        '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\ngreeter = { path = "greeter" }\n',
      "Cargo.lock":
        'version = 3\n\n[[package]]\nname = "app"\nversion = "0.1.0"\ndependencies = [\n "greeter",\n]\n\n[[package]]\nname = "greeter"\nversion = "0.1.0"\n',
      "greeter/Cargo.toml": '[package]\nname = "greeter"\nversion = "0.1.0"\nedition = "2021"\n',
      "greeter/src/lib.rs": 'pub fn greet() -> &\'static str { "hello from rust" }\n',
      "src/main.rs": 'fn main() { println!("{}", greeter::greet()); }\n',
    },
    output: "hello from rust",
  },
];

describe("public shapes of Dockerfiles", { skip, timeout: 1_800_000 }, () => {
  const suite = useDaemon({
    host: realHost,
    bridge: "gt-bco-shp",
    bip: "10.206.34.1/24",
    // The machine's own nftables are not only this daemon's.
    leaves: ["data-root", "records", "nftables"],
  });
  before(() => ensureDebian(suite.daemon), { timeout: 300_000 });

  for (const shape of shapes)
    test(shape.name, { skip: shape.isHeavy === true ? isHeavy : false, timeout: 900_000 }, async () => {
      const { daemon } = suite;
      await using context = await makeContext({
        Dockerfile: `${shape.dockerfile.join("\n")}\n`,
        ...shape.files,
      });
      const args = (shape.args ?? []).map((arg) => arg.replace("CONTEXT", context.directory));
      const result = await daemon.gantry(
        ["build", "--progress", "plain", "-t", "test/shape", ...args, context.directory],
        { timeoutMs: 800_000, env: { SHAPE_TOKEN: "12345" } },
      );
      assert.equal(result.code, 0, result.stdout + result.stderr);
      const id = await daemon.dockerOk(["run", "-d", "test/shape"]);
      await daemon.dockerOk(["wait", id], { timeoutMs: 120_000 });
      const output = await daemon.dockerOk(["logs", id]);
      await daemon.dockerOk(["rm", "-v", id]);
      if (typeof shape.output === "string") assert.equal(output, shape.output);
      else assert.match(output, shape.output);
    });
});
