/** Applications as people have them, on one image of Debian packages: files of a project, and what is asked of it. */

/** The image, and what is in it. */
export const applicationsImage = "applications:bookworm";

export const applicationPackages =
  "postgresql mariadb-server python3-django python3-psycopg2 python3-mysqldb python3-flask python3-redis gunicorn ruby " +
  "ruby-rack ruby-pg ruby-webrick php-cli php-mysql wordpress docker-registry nginx-light redis-server memcached haproxy " +
  "curl netcat-openbsd procps";

/** What the light ones need, which is made in a minute. */
export const lightPackages =
  "nginx-light php-cli python3-flask python3-redis redis-server curl netcat-openbsd procps";

export interface Question {
  readonly url: string;
  readonly status?: number;
  readonly body: RegExp;
}

export interface Application {
  readonly name: string;
  /** The light image is enough for it. */
  readonly isLight?: boolean;
  readonly files: Readonly<Record<string, string>>;
  readonly questions: readonly Question[];
}

export const from = `FROM ${applicationsImage}\n`;

/** A PostgreSQL that lets everybody in, made at its first start. */
export const postgres = `${from}RUN install -d -o postgres /data /run/postgresql
COPY start.sh /start.sh
EXPOSE 5432
CMD ["sh", "/start.sh"]
`;

export const postgresStart = `set -e
bin=$(echo /usr/lib/postgresql/*/bin)
if [ ! -e /data/PG_VERSION ]; then
  chown postgres /data
  su postgres -c "$bin/initdb -D /data -A trust" >/dev/null
  echo "host all all all trust" >> /data/pg_hba.conf
fi
exec su postgres -c "exec $bin/postgres -D /data -c listen_addresses='*'"
`;

/** A MariaDB whose root has the password "secret" from everywhere. */
export const mariadb = `${from}RUN install -d -o mysql /data /run/mysqld
COPY start.sh /start.sh
EXPOSE 3306
CMD ["sh", "/start.sh"]
`;

export const mariadbStart = `set -e
chown mysql /data
if [ ! -e /data/mysql ]; then
  mariadb-install-db --user=mysql --datadir=/data --skip-test-db >/dev/null
fi
cat > /tmp/init.sql <<END
CREATE DATABASE IF NOT EXISTS \${DATABASE:-app};
GRANT ALL ON *.* TO 'root'@'%' IDENTIFIED BY 'secret' WITH GRANT OPTION;
END
exec mariadbd --user=mysql --datadir=/data --bind-address=0.0.0.0 --skip-name-resolve --init-file=/tmp/init.sql
`;

const python = (text: string): string =>
  `${from}COPY app.py /app.py\nCMD ["python3", "/app.py"]\n# ${text}\n`;

const flask = (routes: string, imports = ""): string => `import os
from flask import Flask
${imports}
app = Flask(__name__)
${routes}
app.run(host="0.0.0.0", port=8000)
`;

const nginx = (location: string): string => `daemon off;
pid /tmp/nginx.pid;
error_log /dev/stderr;
events {}
http { access_log /dev/stdout; server { listen 80; ${location} } }
`;

const waitFor = (host: string, port: number): string =>
  `sh -c 'until nc -z ${host} ${port}; do sleep 0.2; done; exec "$$@"' --`;

/** Ten of the kind that collections of examples have. */
export const applications: readonly Application[] = [
  {
    name: "nginx-static",
    isLight: true,
    files: {
      "compose.yaml": `
services:
  web:
    image: ${applicationsImage}
    command: nginx -c /etc/site.conf
    ports: [ "8080:80" ]
    volumes: [ "./site:/site:ro", "./site.conf:/etc/site.conf:ro" ]
`,
      "site.conf": nginx("root /site;"),
      "site/index.html": "<h1>static</h1>\n",
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /<h1>static<\/h1>/ }],
  },
  {
    name: "nginx-flask",
    isLight: true,
    files: {
      "compose.yaml": `
services:
  proxy:
    image: ${applicationsImage}
    command: nginx -c /etc/site.conf
    ports: [ "8080:80" ]
    configs: [ { source: site, target: /etc/site.conf } ]
    depends_on: { backend: { condition: service_healthy } }
    networks: [ front ]
  backend:
    build: backend
    healthcheck: { test: "curl -sf http://127.0.0.1:8000/", interval: 300ms, retries: 50 }
    networks: [ front ]
configs: { site: { file: ./site.conf } }
networks: { front: }
`,
      "site.conf": nginx("location / { proxy_pass http://backend:8000; }"),
      "backend/Dockerfile": python("nginx in front of it"),
      "backend/app.py": flask('@app.route("/")\ndef hello(): return "hello from flask"'),
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /hello from flask/ }],
  },
  {
    name: "flask-redis",
    isLight: true,
    files: {
      "compose.yaml": `
services:
  redis: { image: "${applicationsImage}", command: redis-server --bind 0.0.0.0 --protected-mode no --dir /data, volumes: [ "data:/data" ] }
  web:
    build: .
    ports: [ "8080:8000" ]
    depends_on: [ redis ]
    command: ${waitFor("redis", 6379)} python3 /app.py
volumes: { data: }
`,
      Dockerfile: python("counts in redis"),
      "app.py": flask(
        'r = redis.Redis(host="redis")\n@app.route("/")\ndef hello(): return "seen %d times" % r.incr("hits")',
        "import redis",
      ),
    },
    questions: [
      { url: "http://127.0.0.1:8080/", body: /seen \d+ times/ },
      { url: "http://127.0.0.1:8080/", body: /seen [2-9] times/ },
    ],
  },
  {
    name: "nginx-flask-mysql",
    files: {
      "compose.yaml": `
services:
  db:
    build: db
    restart: always
    environment: { DATABASE: example }
    healthcheck: { test: "mariadb -h 127.0.0.1 -psecret -e 'select 1'", interval: 500ms, retries: 80 }
    volumes: [ "db-data:/data" ]
    networks: [ backnet ]
  backend:
    build: backend
    restart: always
    secrets: [ db-password ]
    networks: [ backnet, frontnet ]
    depends_on: { db: { condition: service_healthy } }
  proxy:
    image: ${applicationsImage}
    command: ${waitFor("backend", 8000)} nginx -c /etc/site.conf
    restart: always
    ports: [ "8080:80" ]
    volumes: [ "./site.conf:/etc/site.conf:ro" ]
    depends_on: [ backend ]
    networks: [ frontnet ]
volumes: { db-data: }
secrets: { db-password: { file: ./password.txt } }
networks: { backnet: { internal: true }, frontnet: }
`,
      "password.txt": "secret",
      "site.conf": nginx("location / { proxy_pass http://backend:8000; }"),
      "db/Dockerfile": mariadb,
      "db/start.sh": mariadbStart,
      "backend/Dockerfile": python("reads its password from a secret"),
      "backend/app.py": flask(
        `password = open("/run/secrets/db-password").read()
def connect(): return MySQLdb.connect(host="db", user="root", passwd=password, db="example")
c = connect(); c.cursor().execute("create table if not exists blog (title text)"); c.cursor().execute("insert into blog values ('first post')"); c.commit()
@app.route("/")
def hello():
    cursor = connect().cursor(); cursor.execute("select title from blog"); return str(cursor.fetchall())`,
        "import MySQLdb",
      ),
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /first post/ }],
  },
  {
    name: "php",
    isLight: true,
    files: {
      "compose.yaml": `
services:
  web: { image: "${applicationsImage}", command: "php -S 0.0.0.0:80 -t /src", ports: [ "8080:80" ], volumes: [ "./src:/src" ] }
`,
      "src/index.php": "<?php echo 'sum: ' . array_sum([1, 2, 3]);",
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /sum: 6/ }],
  },
  {
    name: "gunicorn-profiles",
    files: {
      "compose.yaml": `
x-app: &app
  build: { context: ., args: { GREETING: "\${GREETING:-hello}" } }
  environment: &env { MODE: production }
services:
  web: { <<: *app, ports: [ "8080:8000" ], command: "gunicorn -b 0.0.0.0:8000 app:app", working_dir: /srv }
  worker: { <<: *app, environment: { <<: *env, MODE: worker }, command: "sleep 600", profiles: [ workers ] }
`,
      Dockerfile: `${from}ARG GREETING\nENV GREETING=$GREETING\nCOPY app.py /srv/app.py\n`,
      "app.py": `import os
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [(os.environ["GREETING"] + " " + os.environ["MODE"]).encode()]
`,
      ".env": "GREETING=welcome\n",
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /^welcome production$/ }],
  },
  {
    name: "haproxy-scaled",
    files: {
      "compose.yaml": `
services:
  balancer:
    image: ${applicationsImage}
    command: haproxy -f /etc/balancer.cfg
    ports: [ "8080:80" ]
    volumes: [ "./balancer.cfg:/etc/balancer.cfg:ro" ]
    depends_on: { app: { condition: service_healthy } }
  app:
    build: .
    deploy: { replicas: 3 }
    healthcheck: { test: "curl -sf http://127.0.0.1:8000/", interval: 300ms, retries: 50 }
`,
      Dockerfile: python("three of them"),
      "app.py": flask('import socket\n@app.route("/")\ndef hello(): return "from " + socket.gethostname()'),
      "balancer.cfg": `defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
resolvers engine
  nameserver dns 127.0.0.11:53
frontend web
  bind :80
  default_backend apps
backend apps
  balance roundrobin
  server-template app 3 app:8000 check resolvers engine init-addr libc,none
`,
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /^from [0-9a-f]{12}$/ }],
  },
  {
    name: "memcached",
    files: {
      "docker-compose.yml": `
version: "2.4"
services:
  cache: { image: "${applicationsImage}", command: memcached -u root -l 0.0.0.0, mem_limit: 128m }
  web:
    image: ${applicationsImage}
    command: ${waitFor("store", 11211)} python3 /srv/app.py
    volumes: [ ".:/srv:ro" ]
    ports: [ "8080:8000" ]
    links: [ "cache:store" ]
`,
      "app.py": flask(
        `@app.route("/")
def hello():
    s = socket.create_connection(("store", 11211)); s.sendall(b"set k 0 0 5\\r\\nvalue\\r\\nget k\\r\\n"); time.sleep(0.2)
    return s.recv(1000).decode()`,
        "import socket, time",
      ),
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /STORED[^]*value/ }],
  },
  {
    name: "postgres-setup",
    files: {
      "docker-compose.yml": `
version: "3.9"
services:
  db:
    build: db
    volumes: [ "pg:/data" ]
    healthcheck: { test: "psql -h 127.0.0.1 -U postgres -c 'select 1'", interval: 500ms, retries: 60 }
  setup:
    image: ${applicationsImage}
    command: psql -h db -U postgres -c "create table words (word text); insert into words values ('kept');"
    depends_on: { db: { condition: service_healthy } }
  web:
    image: ${applicationsImage}
    command: python3 /srv/app.py
    volumes: [ "./app.py:/srv/app.py:ro" ]
    ports: [ "8080:8000" ]
    depends_on: { setup: { condition: service_completed_successfully } }
volumes: { pg: }
`,
      "db/Dockerfile": postgres,
      "db/start.sh": postgresStart,
      "app.py": flask(
        `@app.route("/")
def hello():
    cursor = psycopg2.connect(host="db", user="postgres").cursor(); cursor.execute("select word from words"); return str(cursor.fetchall())`,
        "import psycopg2",
      ),
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /kept/ }],
  },
  {
    name: "included-parts",
    isLight: true,
    files: {
      "compose.yaml": `
include: [ backend/compose.yaml ]
services:
  web:
    extends: { file: common.yaml, service: base }
    command: nginx -c /etc/site.conf
    ports: [ "8080:80" ]
    depends_on: { api: { condition: service_healthy } }
    volumes: [ "./site.conf:/etc/site.conf:ro" ]
`,
      "common.yaml": `services: { base: { image: "${applicationsImage}", init: true, restart: unless-stopped, stop_grace_period: 1s } }`,
      "site.conf": nginx("location / { proxy_pass http://api:8000; }"),
      "backend/compose.yaml": `
services:
  api:
    image: ${applicationsImage}
    command: php -S 0.0.0.0:8000 -t /src
    volumes: [ "./src:/src:ro" ]
    healthcheck: { test: "curl -sf http://127.0.0.1:8000/", interval: 300ms, retries: 50 }
`,
      "backend/src/index.php": "<?php echo 'from an included part';",
    },
    questions: [{ url: "http://127.0.0.1:8080/", body: /from an included part/ }],
  },
];
