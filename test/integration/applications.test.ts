/**
 * Applications as people run them, on images of Debian packages. The whole set (`npm run test:applications`) takes an
 * image that is made once, in several minutes, and kept in ~/.cache/gantry. Where it is not there, a light one is made of
 * what Debian's mirror has, for some of the applications; GANTRY_TEST_APPLICATIONS=light asks for that one.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  applicationPackages,
  applications,
  applicationsImage,
  from,
  lightPackages,
  mariadb,
  mariadbStart,
  postgres,
  postgresStart,
  type Question,
} from "../helpers/applications.ts";
import { ComposeProject, compose1, compose2 } from "../helpers/compose.ts";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, start } from "../helpers/process.ts";

const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "gantry");
const wanted = process.env["GANTRY_TEST_APPLICATIONS"];
const isWhole = wanted === "1" || (wanted !== "light" && existsSync(join(cache, "applications-1.tar")));
const image = isWhole
  ? { archive: join(cache, "applications-1.tar"), packages: applicationPackages }
  : { archive: join(cache, "applications-light-1.tar"), packages: lightPackages };

/** Whether packages can be had; asked twice, since a mirror may be busy. */
async function hasMirror(): Promise<boolean> {
  const address = "http://deb.debian.org/debian/dists/bookworm/Release";
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      return (await fetch(address, { method: "HEAD", signal: AbortSignal.timeout(20_000) })).ok;
    } catch {
      // Once more, or not at all.
    }
  }
  return false;
}

/** Asks for a page, with a network that is another's: prints the page, and the status in a line of its own. */
const askProgram = `
const response = await fetch(process.argv[1], { signal: AbortSignal.timeout(20_000) });
process.stdout.write((await response.text()) + "\\n" + response.status);
`;

const canMake = existsSync(image.archive) || (await hasMirror());
const skip = canMake
  ? false
  : "Debian's mirror does not answer, and the image of the applications is not there";
const skipHeavy = isWhole ? false : "the light image is not enough for it: npm run test:applications";

async function ensureImage(daemon: TestDaemon): Promise<void> {
  const { archive, packages } = image;
  if (existsSync(archive)) {
    await daemon.dockerOk(["load", "-i", archive], { timeoutMs: 300_000 });
    return;
  }
  const words = ["--include", packages.replaceAll(" ", ","), "--suite", "bookworm"];
  const made = await daemon.gantry(["image", "bootstrap", ...words, applicationsImage], {
    timeoutMs: 1_200_000,
  });
  assert.equal(made.code, 0, made.stderr);
  await mkdir(dirname(archive), { recursive: true });
  await daemon.dockerOk(["save", "-o", `${archive}.tmp`, applicationsImage], { timeoutMs: 300_000 });
  await rename(`${archive}.tmp`, archive);
}

describe("applications", { skip }, () => {
  let daemon: TestDaemon;
  before(
    async () => {
      daemon = await TestDaemon.start();
      await ensureBusybox(daemon);
      await ensureImage(daemon);
    },
    { timeout: 1_800_000 },
  );
  after(() => daemon[Symbol.asyncDispose]());

  async function ask(app: ComposeProject, { url, status = 200, body }: Question): Promise<void> {
    let last = "";
    const answered = async (): Promise<boolean> => {
      const command = [process.execPath, "--input-type=module", "-e", askProgram, url];
      last = (await daemon.host.run(command)).stdout;
      const code = last.slice(last.lastIndexOf("\n") + 1);
      return code === String(status) && body.test(last.slice(0, last.lastIndexOf("\n")));
    };
    try {
      await eventually(answered, {
        timeoutMs: 90_000,
        intervalMs: 300,
        what: `${url} answers ${String(body)}`,
      });
    } catch (error) {
      const { stdout, stderr } = await app.run(["logs", "--tail", "30"]);
      throw new Error(`${(error as Error).message}\nlast answer: ${last.slice(0, 600)}\n${stdout}${stderr}`, {
        cause: error,
      });
    }
  }

  for (const { name, files, questions, isLight = false } of applications) {
    test(name, { skip: isLight ? false : skipHeavy }, async () => {
      await using app = await ComposeProject.make(daemon, files, name);
      await app.ok(["up", "-d", "--build"], { timeoutMs: 240_000 });
      for (const question of questions) await ask(app, question);
      await app.ok(["down", "-v", "-t", "2"]);
    });
  }

  test("Fig's tutorial: a rack application and PostgreSQL", { skip: skipHeavy }, async () => {
    const files = {
      "fig.yml": `
db:
  build: db
web:
  build: .
  command: ruby /app/app.rb
  volumes: [ ".:/app" ]
  ports: [ "3000:3000" ]
  links: [ db ]
`,
      Dockerfile: from,
      "db/Dockerfile": postgres,
      "db/start.sh": postgresStart,
      "app.rb": `require "rack"
require "rack/handler/webrick"
require "pg"
app = lambda do |_env|
  connection = PG.connect(host: ENV["DB_1_PORT_5432_TCP_ADDR"], port: ENV["DB_1_PORT_5432_TCP_PORT"], user: "postgres")
  answer = connection.exec("select 40 + 2").getvalue(0, 0)
  connection.close
  [200, { "Content-Type" => "text/plain" }, ["the answer is #{answer}\\n"]]
end
Rack::Handler::WEBrick.run(app, Host: "0.0.0.0", Port: 3000)
`,
    };
    await using app = await ComposeProject.make(daemon, files, "figrack");
    await app.ok(["up", "-d"], { group: "fig", timeoutMs: 240_000 });
    await ask(app, { url: "http://127.0.0.1:3000/", body: /^the answer is 42$/m });
    await app.ok(["down", "-v", "-t", "2"], { group: "fig" });
  });

  test(
    "Fig's tutorial: Django and PostgreSQL, begun with fig run and migrated while it runs",
    { skip: skipHeavy },
    async () => {
      const files = {
        "fig.yml": `
db:
  build: db
web:
  build: .
  command: python3 manage.py runserver 0.0.0.0:8000
  volumes: [ ".:/code" ]
  ports: [ "8000:8000" ]
  links: [ db ]
`,
        Dockerfile: `${from}ENV PYTHONUNBUFFERED 1\nWORKDIR /code\n`,
        "db/Dockerfile": postgres,
        "db/start.sh": postgresStart,
      };
      await using app = await ComposeProject.make(daemon, files, "figexample");
      const fig = { group: "fig", timeoutMs: 240_000 };
      await app.ok(["run", "--rm", "web", "django-admin", "startproject", "figexample", "."], fig);
      await app.ok(
        [
          "run",
          "--rm",
          "--no-deps",
          "web",
          "sh",
          "-c",
          `cat >> figexample/settings.py <<'END'
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": "db_1", "PORT": 5432}}
END`,
        ],
        fig,
      );
      const running = app.daemon.gantryCommand(["fig", "up"]);
      const program = start(running, { cwd: app.directory });
      await program.waitForOutput(/Starting development server|Watching for file changes/, 90_000);
      const migrated = await app.ok(["run", "--rm", "web", "python3", "manage.py", "migrate"], fig);
      assert.match(migrated, /Applying auth\.0001_initial.* OK/);
      await ask(app, { url: "http://127.0.0.1:8000/", body: /The install worked successfully/ });
      program.process.kill("SIGINT");
      assert.equal((await program.wait(60_000)).code, 130);
      await app.ok(["down", "-v", "-t", "2"], fig);
    },
  );

  test(
    "Fig's tutorial: WordPress finds MariaDB by the variables of its link",
    { skip: skipHeavy },
    async () => {
      const files = {
        "fig.yml": `
web:
  build: .
  command: php -S 0.0.0.0:8000 -t /code
  ports: [ "8000:8000" ]
  links: [ db ]
db:
  build: db
  environment: { DATABASE: wordpress }
`,
        Dockerfile: `${from}RUN cp -rL /usr/share/wordpress /code; rm -f /code/wp-config.php\nCOPY wp-config.php /code/\n`,
        "wp-config.php": `<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', 'secret');
define('DB_HOST', getenv('DB_1_PORT_3306_TCP_ADDR') . ':' . getenv('DB_1_PORT_3306_TCP_PORT'));
define('DB_CHARSET', 'utf8');
// There is no way out of the tests' network, and asking for translations would wait for it.
define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
`,
        "db/Dockerfile": mariadb,
        "db/start.sh": mariadbStart,
      };
      await using app = await ComposeProject.make(daemon, files, "figpress");
      await app.ok(["up", "-d"], { group: "fig", timeoutMs: 240_000 });
      await ask(app, { url: "http://127.0.0.1:8000/wp-admin/install.php", body: /WordPress/ });
      await app.ok(["down", "-v", "-t", "2"], { group: "fig" });
    },
  );

  const blog = {
    "docker-compose.yml": `
version: "3"
services:
  db:
    build: db
    environment: { DATABASE: blog }
    volumes: [ "db-data:/data" ]
    healthcheck: { test: "mariadb -h 127.0.0.1 -psecret -e 'select 1'", interval: 1s, retries: 60 }
  web:
    build: .
    command: sh -c "until mariadb -h db -psecret -e 'select 1' blog; do sleep 0.5; done; python3 manage.py migrate && python3 manage.py write && python3 manage.py runserver --noreload 0.0.0.0:8000"
    ports: [ "8000:8000" ]
    environment: [ DATABASE_HOST=db ]
    depends_on: [ db ]
volumes: { db-data: }
`,
    Dockerfile: `${from}WORKDIR /srv
RUN django-admin startproject blog . && python3 manage.py startapp posts && mkdir -p posts/management/commands
COPY settings.py /tmp/
RUN cat /tmp/settings.py >> blog/settings.py
COPY models.py posts/models.py
COPY urls.py blog/urls.py
COPY write.py posts/management/commands/write.py
RUN python3 manage.py makemigrations posts --skip-checks || true
`,
    "settings.py": `import os
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS += ["posts"]
DATABASES = {"default": {"ENGINE": "django.db.backends.mysql", "NAME": "blog", "USER": "root", "PASSWORD": "secret", "HOST": os.environ.get("DATABASE_HOST", "nowhere")}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
`,
    "models.py":
      "from django.db import models\nclass Post(models.Model):\n    title = models.CharField(max_length=100)\n",
    "urls.py": `from django.http import HttpResponse
from django.urls import path
def index(request):
    from posts.models import Post
    return HttpResponse("posts: " + ", ".join(Post.objects.values_list("title", flat=True)))
urlpatterns = [path("", index)]
`,
    "write.py": `from django.core.management.base import BaseCommand
class Command(BaseCommand):
    def handle(self, *args, **options):
        from posts.models import Post
        Post.objects.get_or_create(title="Hello from MySQL")
`,
    "db/Dockerfile": mariadb,
    "db/start.sh": mariadbStart,
  };

  test("a Django blog with MySQL, which keeps its posts", { skip: skipHeavy }, async () => {
    await using app = await ComposeProject.make(daemon, blog, "blog");
    await app.ok(["up", "-d", "--build"], { timeoutMs: 240_000 });
    const question = { url: "http://127.0.0.1:8000/", body: /posts: Hello from MySQL/ };
    await ask(app, question);
    await app.ok(["down", "-t", "5"]);
    await app.ok(["up", "-d"]);
    await ask(app, question);
    await app.ok(["down", "-v", "-t", "2"]);
  });

  test(
    "a registry of one's own: a volume, restart: always, push and catalogue",
    { skip: skipHeavy },
    async () => {
      const files = {
        "compose.yaml": `
services:
  registry:
    image: ${applicationsImage}
    command: docker-registry serve /etc/docker/registry/config.yml
    restart: always
    ports: [ "127.0.0.1:5000:5000" ]
    volumes: [ "images:/var/lib/docker-registry", "./config.yml:/etc/docker/registry/config.yml:ro" ]
volumes: { images: }
`,
        "config.yml":
          "version: 0.1\nstorage: { filesystem: { rootdirectory: /var/lib/docker-registry } }\nhttp: { addr: ':5000' }\n",
      };
      await using app = await ComposeProject.make(daemon, files, "registry");
      await app.ok(["up", "-d"]);
      const catalogue = "http://127.0.0.1:5000/v2/_catalog";
      await ask(app, { url: catalogue, body: /repositories/ });
      await daemon.dockerOk(["tag", busybox, "127.0.0.1:5000/team/box:1"]);
      await daemon.dockerOk(["push", "127.0.0.1:5000/team/box:1"], { timeoutMs: 60_000 });
      await ask(app, { url: catalogue, body: /"team\/box"/ });
      const pid = await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", "registry-registry-1"]);
      process.kill(Number(pid), "SIGKILL");
      await eventually(
        async () =>
          (await daemon.dockerOk(["inspect", "-f", "{{.RestartCount}}", "registry-registry-1"])) === "1",
        { timeoutMs: 60_000, what: "the registry's restart" },
      );
      await ask(app, { url: catalogue, body: /"team\/box"/ });
      await app.ok(["down", "-v"]);
    },
  );

  test("Docker Compose 1.29 and 2.26 run the blog on this daemon", { skip: skipHeavy }, async (context) => {
    const tools = [await compose1(), await compose2()];
    if (tools.includes(undefined)) return context.skip("Docker's Compose cannot be had");
    for (const tool of tools as string[][]) {
      await using app = await ComposeProject.make(daemon, blog, "blog");
      // The images are built by ours: theirs need a builder of their own.
      await app.ok(["build"], { timeoutMs: 240_000 });
      for (const service of ["web", "db"]) {
        await daemon.dockerOk(["tag", `blog-${service}`, `blog_${service}`]);
      }
      await app.other(tool, ["up", "-d", "--no-build"]);
      await ask(app, { url: "http://127.0.0.1:8000/", body: /posts: Hello from MySQL/ });
      await app.other(tool, ["down", "-v", "-t", "2"]);
    }
  });
});
